/*
 * The first process of a jail. It starts the VMM, takes in what that leaves behind, ends as it ends, and does for it the
 * few things that its filter refuses but that are harmless when looked at closely. It reads nothing that a guest wrote
 * but the names in those calls, holds no more rights than the VMM, and cannot be traced by it.
 *
 * Its end is the end of everything in the jail. It ends with the VMM, with the process outside that started the jail, and
 * when the other side of the control line (descriptor 3) is gone.
 */
#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../common/clock.h"
#include "../common/descriptor.h"
#include "../common/fail.h"
#include "calls.h"
#include "console.h"
#include "filter.h"
#include "place.h"
#include "writes.h"

#define CONTROL_FD 3
#define STARTER_FD 65 /* pk-cell's, that became the process outside which started the jail */
#define CLOSE_RANGE 436
#define OPEN_PROCESS 434 /* pidfd_open */

/*
 * Calls and console messages of the VMM, and the time of a CPU that all it does for the VMM may take: a call can have a name that takes
 * milliseconds to follow, and signals and orphans come without a call. What comes above waits; the VMM's end does not. It runs where the VMM may not,
 * on CPUs that are not the kernel's.
 */
#define CALLS_A_SECOND 2000
#define CPU_MS_A_SECOND 50
#define ORPHANS_A_TURN 64

/* The places of what is waited for. */
enum { AT_SIGNALS, AT_CONTROL, AT_LISTENER, AT_LINE, AT_CONSOLE, AT_STARTER, AT_VMM, PLACES };

/* What the first process serves with; -1 = there is none. */
struct served {
	int control, line, listener, signals, starter;
	int vmm; /* Linux 5.3; ready once it has ended */
};

static int exit_status(int status)
{
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* Whether there may be more. */
static int reap(int signals, pid_t vmm)
{
	struct signalfd_siginfo ignored;
	int status;
	pid_t pid;

	(void)!read(signals, &ignored, sizeof ignored);
	for (int i = 0; i < ORPHANS_A_TURN; i++) {
		pid = waitpid(-1, &status, WNOHANG);
		if (pid <= 0)
			return 0;
		if (pid == vmm)
			exit(exit_status(status));
	}
	return 1;
}

/* The VMM has ended; how is another's to learn where that traces it. */
static _Noreturn void end_as(pid_t vmm)
{
	int status;

	exit(waitpid(vmm, &status, WNOHANG) == vmm ? exit_status(status) : 128 + SIGKILL);
}

static int is_socket(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
}

/* What this process has run so far. */
static int64_t used_ms(void)
{
	struct timespec used;

	if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used) != 0)
		fail("clock");
	return (int64_t)used.tv_sec * 1000 + used.tv_nsec / 1000000;
}

/* After so many more calls and messages of the VMM: milliseconds until another is served, 0 = at once. */
static int rest_ms(int served)
{
	static int64_t began, used_before;
	static int count;
	int64_t now = (int64_t)now_ms(), used = used_ms();

	if (now - began >= 1000) {
		began = now;
		used_before = used;
		count = 0;
	}
	count += served;
	return count < CALLS_A_SECOND && used - used_before < CPU_MS_A_SECOND ? 0 : (int)(began + 1000 - now);
}

static _Noreturn void serve(const struct served *with, pid_t vmm)
{
	int rest = 0, orphans = 0, listener = with->listener;
	struct pollfd places[PLACES] = {
		[AT_SIGNALS] = {with->signals, POLLIN, 0},
		[AT_CONTROL] = {with->control, 0, 0},
		[AT_LISTENER] = {listener, POLLIN, 0},
		[AT_LINE] = {with->line, POLLIN, 0},
		[AT_CONSOLE] = {-1, POLLIN, 0},
		[AT_STARTER] = {with->starter, POLLIN, 0},
		[AT_VMM] = {with->vmm, POLLIN, 0},
	};
	struct pollfd *call = &places[AT_LISTENER], *console = &places[AT_CONSOLE], *signals = &places[AT_SIGNALS];

	for (;;) {
		signals->fd = rest > 0 ? -1 : with->signals;
		console->fd = rest > 0 ? -1 : console_socket;
		if (listener >= 0)
			call->fd = rest > 0 ? -1 : listener;
		call->revents = 0;
		if (poll(places, PLACES, rest > 0 ? rest : orphans ? 0 : -1) < 0 && errno != EINTR)
			exit(FAILED);
		if (places[AT_VMM].revents != 0)
			end_as(vmm);
		if (rest <= 0 && (signals->revents || orphans))
			orphans = reap(with->signals, vmm);
		if (places[AT_CONTROL].revents & (POLLHUP | POLLERR) || places[AT_STARTER].revents != 0)
			exit(128 + SIGKILL);
		if (call->revents & POLLIN)
			serve_call(listener);
		else if (call->revents)
			listener = call->fd = -1;
		if (places[AT_LINE].revents)
			serve_line();
		if (console->fd >= 0 && console->revents & POLLIN)
			serve_console();
		else if (console->fd >= 0 && console->revents)
			close_fd(&console_socket);
		rest = rest_ms(((call->revents & POLLIN) != 0) + ((console->fd >= 0 && console->revents & POLLIN) != 0));
	}
}

/* Keeps what it serves with, and nothing else that the VMM was given. */
static void close_all_but(const int *kept, int count)
{
	unsigned from = 0;

	for (int fd = 0; fd < 1024; fd++)
		for (int i = 0; i < count; i++)
			if (kept[i] == fd) {
				if (from < (unsigned)fd)
					syscall(CLOSE_RANGE, from, (unsigned)fd - 1, 0);
				from = (unsigned)fd + 1;
			}
	syscall(CLOSE_RANGE, from, ~0u, 0);
}

/* What User Mode Linux has open until it makes no more processes with descriptors of their own, which each of them could have too (checks.c). */
#define FEW_FILES 256

static int has_few_files(enum filter_kind kind, struct may may)
{
	return kind == FILTER_UML && !may.fork;
}

static void have_few_files(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) != 0)
		fail("limit of open files");
	if (files.rlim_cur > FEW_FILES)
		files.rlim_cur = FEW_FILES;
	if (setrlimit(RLIMIT_NOFILE, &files) != 0)
		fail("limit of open files");
}

/*
 * Splits in two: returns in the VMM's process, in its place, filtered, about to become its program. The first process
 * serves it and does not come back.
 */
void become_init(enum filter_kind kind, struct may may, mode_t mask, const struct place *place)
{
	/* Looked at before anything else is opened under these numbers. */
	struct served with = {
		.control = is_socket(CONTROL_FD) ? CONTROL_FD : -1,
		.line = kind == FILTER_UML && is_socket(LINE_FD) ? LINE_FD : -1,
		.starter = fcntl(STARTER_FD, F_GETFD) < 0 ? -1 : STARTER_FD,
	};
	int line[2], listener;
	sigset_t all, before, ends;
	char byte;
	pid_t vmm;

	sigfillset(&all);
	sigemptyset(&ends);
	sigaddset(&ends, SIGCHLD);
	/* Nobody in the jail may trace us, or look into our memory. */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 || sigprocmask(SIG_SETMASK, &all, &before) != 0)
		fail("signals");
	/* A change of identity has taken this away. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, line) != 0)
		fail("the first process of the jail");
	vmm = fork();
	if (vmm < 0)
		fail("fork");
	if (vmm == 0) {
		close(line[0]);
		umask(mask);
		take_place(place);
		confine_files(may.read_kernel);
		if (has_few_files(kind, may))
			have_few_files();
		listener = install_filter(kind, may);
		if (listener >= 0 ? send_descriptor(line[1], listener, 0) != 0 : write(line[1], "-", 1) != 1)
			fail("the listener of the system call filter");
		/* Until it is being listened to. */
		if (read(line[1], &byte, 1) != 1)
			_exit(125);
		close(line[1]);
		if (listener >= 0)
			close(listener);
		close_fd(&with.line);
		close_fd(&with.starter);
		sigprocmask(SIG_SETMASK, &before, NULL);
		return;
	}
	close(line[1]);
	if (has_few_files(kind, may))
		vmm_with_few_files = vmm;
	with.listener = receive_descriptor(line[0], &byte);
	with.vmm = (int)syscall(OPEN_PROCESS, vmm, 0);
	/* Nobody will be asked for a console. */
	if (with.listener < 0)
		settle();
	/* The kernel drops all others that a first process neither handles nor blocks: who sends them does not even wake us. */
	with.signals = signalfd(-1, &ends, SFD_NONBLOCK | SFD_CLOEXEC);
	if (with.signals < 0 || sigprocmask(SIG_SETMASK, &ends, NULL) != 0)
		fail("signalfd");
	umask(077);
	if (kind == FILTER_UML)
		make_console();
	install_filter(FILTER_INIT, (struct may){0});
	(void)!write(line[0], "", 1);
	close_all_but((int[]){with.control, with.line, with.listener, with.signals, with.starter, with.vmm, console_pair[0], console_pair[1]}, 8);
	serve(&with, vmm);
}

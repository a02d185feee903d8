/* The program: its start, its control groups, its end. */
#include "program.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../common/clock.h"
#include "../common/fail.h"
#include "console.h"
#include "descriptors.h"
#include "options.h"
#include "relays.h"

/* How long what the program left behind may go on after its end, and how long its last words may take. */
#define DRAIN_MS 1000

/* From linux/sched.h and unistd.h, which musl lacks. */
#define CLONE3 435
#define CLONE_INTO_GROUP 0x200000000ull

int signals = -1;

/* The program's ends of socket pairs, and the numbers under which it has them; docs/shim.md. */
enum { THEIR_CONSOLE, THEIR_CONTROL, THEIR_MONITOR, THEIR_ENDS };

enum { CONTROL_FD = 3, MONITOR_FD = 4 };

static pid_t shim; /* this process: one below it sees by it that it has not ended */
pid_t program;
int ended, status;
uint64_t end_deadline;

/* Files of control groups that the program writes itself into; the version 2 group that it is born in. */
static int joins[JOINS_MAX], join_count, group = -1;

/* What version 1 tells of a group's memory; -1 = none of them bounds memory. And kills of that group before this program was in it. */
static int shortage = -1;
static long kills_before;

void kill_program(void)
{
	if (ended)
		return; /* the pid may belong to another process by now */
	kill(-program, SIGKILL);
	kill(program, SIGKILL);
}

void reap(void)
{
	struct signalfd_siginfo ignored[8];
	siginfo_t info;
	pid_t pid;

	while (read(signals, ignored, sizeof ignored) > 0)
		;
	info.si_pid = 0;
	if (!ended && waitid(P_PID, (id_t)program, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == program) {
		/* While its zombie keeps the number, the process group is certainly its own. */
		kill(-program, SIGKILL);
		waitpid(program, &status, 0);
		ended = 1;
		end_deadline = now_ms() + DRAIN_MS;
	}
	/* Orphans come to us only if somebody made us a subreaper; take them all the same. */
	while (ended && (pid = waitpid(-1, NULL, WNOHANG)) > 0)
		;
}

/*
 * fork(), with the child in the version 2 control group whose directory is open as `directory`, as clone3(2) has it: to move
 * a process later, the kernel first waits until no CPU is amid a fork or an exit, some 10 ms.
 */
static pid_t fork_into(int directory)
{
	/* struct clone_args of linux/sched.h: flags, pidfd, child_tid, parent_tid, exit_signal, ..., cgroup. */
	uint64_t arguments[11] = {CLONE_INTO_GROUP, [4] = SIGCHLD, [10] = (uint64_t)directory};
	pid_t child;
	int file;

	if (directory < 0)
		return fork();
	child = (pid_t)syscall(CLONE3, arguments, sizeof arguments);
	if (child >= 0 || (errno != ENOSYS && errno != E2BIG && errno != EINVAL))
		return child;
	/* Before Linux 5.7. */
	file = openat(directory, "cgroup.procs", O_WRONLY | O_CLOEXEC);
	if (file < 0 || join_count == JOINS_MAX)
		return -1;
	joins[join_count++] = file;
	return fork();
}

/* In the child: what keeps it from running is told through `report`. */
static _Noreturn void become_program(char **argv, const int *theirs, const struct passed *passed, mode_t mask, int report)
{
	sigset_t none;
	int error;

	sigemptyset(&none);
	setsid();
	umask(mask);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != shim)
		_exit(1);
	signal(SIGHUP, SIG_DFL), signal(SIGPIPE, SIG_DFL), signal(SIGINT, SIG_DFL), signal(SIGTERM, SIG_DFL);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* Before it can start anything: 0 is the writer. */
	for (int i = 0; i < join_count; i++)
		if (write(joins[i], "0", 1) != 1) {
			error = errno;
			(void)!write(report, &error, sizeof error);
			_exit(127);
		}
	for (int i = 0; i < passed->count; i++)
		fcntl(passed->fds[i], F_SETFD, 0);
	for (int fd = 0; fd < 3; fd++)
		dup2(theirs[THEIR_CONSOLE], fd);
	dup2(theirs[THEIR_CONTROL], CONTROL_FD);
	dup2(theirs[THEIR_MONITOR], MONITOR_FD);
	execvp(argv[0], argv);
	error = errno;
	(void)!write(report, &error, sizeof error);
	_exit(127);
}

void start_program(char **argv, const struct passed *passed, mode_t mask)
{
	int theirs[THEIR_ENDS], failure[2], report, error = 0;

	shim = getpid();
	for (int i = 0; i < RELAYS; i++)
		relays[i].program = relays[i].holder = -1;
	console = pair(&theirs[THEIR_CONSOLE]);
	relays[CONTROL].program = pair(&theirs[THEIR_CONTROL]);
	relays[MONITOR].program = pair(&theirs[THEIR_MONITOR]);
	if (pipe2(failure, O_CLOEXEC) != 0 || (report = fcntl(failure[1], F_DUPFD_CLOEXEC, ABOVE_PASSED)) < 0)
		fail("pipe");
	close(failure[1]);
	program = fork_into(group);
	if (program < 0)
		fail("fork");
	if (program == 0)
		become_program(argv, theirs, passed, mask, report);
	close(report);
	for (int i = 0; i < THEIR_ENDS; i++)
		close(theirs[i]);
	for (int i = 0; i < passed->count; i++)
		close(passed->fds[i]);
	for (int i = 0; i < join_count; i++)
		close(joins[i]);
	if (group >= 0)
		close(group);
	if (read(failure[0], &error, sizeof error) == sizeof error) {
		unlink("shim.sock"), unlink("shim.pid"), unlink("exit.new");
		errno = error;
		fail("%s", argv[0]);
	}
	close(failure[0]);
}

/* How often the host has killed a process of the group. */
static long count_kills(void)
{
	char text[256] = "";
	const char *count;

	if (pread(shortage, text, sizeof text - 1, 0) <= 0)
		return 0;
	count = strstr(text, "\noom_kill ");
	return count == NULL ? 0 : strtol(count + sizeof "\noom_kill " - 1, NULL, 10);
}

/* Of the group whose file `path` is. */
static void open_shortage(const char *path)
{
	char file[PATH_MAX];
	int name = (int)(strrchr(path, '/') - path) + 1, fd;

	if (snprintf(file, sizeof file, "%.*smemory.oom_control", name, path) >= (int)sizeof file)
		return;
	fd = open(file, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		shortage = fcntl(fd, F_DUPFD_CLOEXEC, ABOVE_PASSED);
		close(fd);
		kills_before = count_kills();
	}
}

int tells_of_shortage(void)
{
	return shortage >= 0;
}

int was_short(void)
{
	return count_kills() > kills_before;
}

/* A directory is a version 2 group, a file takes the thread that writes 0 into it. Above the numbers that the program gets. */
void open_group(const char *path)
{
	int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int file = directory >= 0 ? directory : open(path, O_WRONLY | O_CLOEXEC);
	int high = file < 0 ? -1 : fcntl(file, F_DUPFD_CLOEXEC, ABOVE_PASSED);

	if (high < 0 || (directory >= 0 && group >= 0))
		fail("--join %s", path);
	close(file);
	if (directory >= 0)
		group = high;
	else {
		joins[join_count++] = high;
		open_shortage(path);
	}
}

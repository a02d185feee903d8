/*
 * The first process of a jail. It starts the VMM, takes in what that leaves behind, ends as it ends, and does for it the
 * few things that its filter refuses but that are harmless when looked at closely. It reads nothing that a guest wrote
 * but the names in those calls, holds no more rights than the VMM, and cannot be traced by it.
 *
 * Its end is the end of everything in the jail. It ends with the VMM, with the process outside that started the jail, and
 * when the other side of the control line (descriptor 3) is gone.
 */
#ifndef JAIL_INIT_H
#define JAIL_INIT_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../common/clock.h"
#include "../common/descriptor.h"
#include "../common/fail.h"
#include "filter.h"
#include "writes.h"
#include "mconsole.h"

/* How pk-jail ends when the jail cannot be as it should. */
#define FAILED 125
#define CONTROL_FD 3
#define LINE_FD 4
#define STARTER_FD 65 /* pk-cell's, that became the process outside which started the jail */
#define CLOSE_RANGE 436
#define NAME_BYTES 4096
/* Calls and console messages of the VMM; what comes above waits. It runs where the VMM may not, on CPUs that are not the kernel's. */
#define CALLS_A_SECOND 2000

/* From linux/seccomp.h. */
struct call {
	uint64_t id;
	uint32_t pid, flags;
	struct { int32_t number; uint32_t arch; uint64_t instruction, arguments[6]; } data;
};
struct call_answer {
	uint64_t id;
	int64_t value;
	int32_t error;
	uint32_t flags;
};
struct call_descriptor {
	uint64_t id;
	uint32_t flags, ours, theirs, theirs_flags;
};
#define CALL_RECEIVE _IOWR('!', 0, struct call)
#define CALL_ANSWER _IOWR('!', 1, struct call_answer)
#define CALL_IS_VALID _IOW('!', 2, uint64_t)
#define CALL_GIVE _IOW('!', 3, struct call_descriptor)
#define GIVE_AND_ANSWER 2 /* Linux 5.14 */

/* Where a VMM runs and its memory comes from: control groups, CPUs, memory nodes; NULL = as its parent. */
struct place {
	char *joins;
	const char *cpus, *mems;
};

static int console_socket = -1;
/* Commands of the management console that wait for their answer. */
static unsigned asked;

/* Opens PART of a thread's directory in /proc, and makes sure that it is still the thread that asked. */
static int open_of_caller(int listener, const struct call *call, const char *part, int flags)
{
	char path[NAME_BYTES + 32];
	int fd;

	if (snprintf(path, sizeof path, "/proc/%u/%s", call->pid, part) >= (int)sizeof path) {
		errno = ENAMETOOLONG;
		return -1;
	}
	fd = open(path, flags | O_CLOEXEC);
	if (fd >= 0 && ioctl(listener, CALL_IS_VALID, &call->id) != 0) {
		close(fd);
		errno = ENOENT;
		return -1;
	}
	return fd;
}

static int read_name(int listener, const struct call *call, uint64_t address, char name[NAME_BYTES])
{
	int memory = open_of_caller(listener, call, "mem", O_RDONLY);
	ssize_t n = memory < 0 ? -1 : pread(memory, name, NAME_BYTES - 1, (off_t)address);

	if (memory >= 0)
		close(memory);
	if (n < 0)
		n = 0;
	name[n] = 0;
	if (strlen(name) == (size_t)n) {
		errno = EFAULT;
		return -1;
	}
	return 0;
}

/* What `name`, relative to descriptor `at` of the caller, stands for, as an O_PATH descriptor; a directory or nothing. */
static int open_directory(int listener, const struct call *call, int at, const char *name, int flags)
{
	char part[NAME_BYTES + 16];
	int base, fd;

	/* These two are other things for each process. */
	if (strncmp(name, "/proc/self/", 11) == 0)
		return open_of_caller(listener, call, name + 11, O_PATH | O_DIRECTORY | flags);
	if (*name == '/')
		return open(name, O_PATH | O_DIRECTORY | O_CLOEXEC | flags);
	snprintf(part, sizeof part, at == AT_FDCWD ? "cwd" : "fd/%d", at);
	base = open_of_caller(listener, call, part, O_PATH);
	if (base < 0 || *name == 0)
		return base;
	fd = openat(base, name, O_PATH | O_DIRECTORY | O_CLOEXEC | flags);
	close(base);
	return fd;
}

/* A set-gid bit is for directories, where it gives files the directory's group. */
static int set_directory_mode(int listener, const struct call *call)
{
	const uint64_t *arguments = call->data.arguments;
	char name[NAME_BYTES] = "", path[64];
	int number = call->data.number, fd, result, flags = 0, at = AT_FDCWD;
	mode_t mode = (mode_t)arguments[2] & 07777;
	struct stat st;

	if (number == SYS_fchmod) {
		mode = (mode_t)arguments[1] & 07777;
		at = (int)arguments[0];
	} else {
		uint64_t address = arguments[1];

#ifdef __x86_64__
		if (number == SYS_chmod) {
			address = arguments[0];
			mode = (mode_t)arguments[1] & 07777;
		} else
#endif
			at = (int)arguments[0];
		if (number == 452 && (arguments[3] & AT_SYMLINK_NOFOLLOW) != 0)
			flags = O_NOFOLLOW;
		if (read_name(listener, call, address, name) != 0)
			return -1;
	}
	fd = open_directory(listener, call, at, name, flags);
	if (fd < 0 || fstat(fd, &st) != 0 || !S_ISDIR(st.st_mode) || (mode & S_ISUID) != 0) {
		if (fd >= 0)
			close(fd);
		errno = EPERM;
		return -1;
	}
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	result = chmod(path, mode);
	close(fd);
	return result;
}

/*
 * UML's management console gets one end of a pair and we keep the other: it can send to nobody else. Given and answered in
 * one step, for a signal may interrupt the caller, who then asks again. Returns 0 when the call is answered.
 */
static int give_console(int listener, const struct call *call)
{
	int pair[2], given;
	struct call_descriptor descriptor = {.id = call->id, .flags = GIVE_AND_ANSWER};

	if (console_socket >= 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
		errno = EPERM;
		return -1;
	}
	descriptor.ours = (uint32_t)pair[1];
	descriptor.theirs_flags = (uint32_t)call->data.arguments[1] & O_CLOEXEC;
	given = ioctl(listener, CALL_GIVE, &descriptor);
	close(pair[1]);
	if (given >= 0)
		console_socket = pair[0];
	else
		close(pair[0]);
	return given < 0 ? -1 : 0;
}

static void serve_call(int listener)
{
	struct call call = {0};
	struct call_answer answer = {0};

	if (ioctl(listener, CALL_RECEIVE, &call) != 0)
		return;
	errno = 0;
	if (call.data.number == SYS_socket) {
		if (give_console(listener, &call) == 0)
			return;
		answer.error = -EPERM;
	} else if (set_directory_mode(listener, &call) != 0) {
		answer.error = -(errno == 0 ? EPERM : errno);
	}
	answer.id = call.id;
	ioctl(listener, CALL_ANSWER, &answer); /* fails when the caller was killed meanwhile */
}

/* One command of the management console a line, from outside; its answer goes back there. */
static void serve_line(void)
{
	static char text[MCONSOLE_BYTES];
	static size_t used;
	ssize_t n = recv(LINE_FD, text + used, sizeof text - 1 - used, MSG_DONTWAIT);
	char *end;

	if (n == 0)
		exit(128 + SIGKILL);
	if (n < 0)
		return;
	used += (size_t)n;
	text[used] = 0;
	while ((end = strchr(text, '\n')) != NULL) {
		*end = 0;
		if (console_socket < 0 || mconsole_send(console_socket, text) != 0)
			dprintf(LINE_FD, "error the management console is not open\n");
		else
			asked++;
		used -= (size_t)(end + 1 - text);
		memmove(text, end + 1, used + 1);
	}
	if (used == sizeof text - 1)
		used = 0;
}

/* Nobody may read what was not asked for, and we would wait with all that fills the line. */
static void serve_console(void)
{
	static char answer[8192];
	static size_t used;
	int failed, result = mconsole_receive(console_socket, answer, &used, sizeof answer, &failed);

	/* Or it would be ready for ever, and we busy on a CPU that the kernel does not own. */
	if (result == -2) {
		close_fd(&console_socket);
		used = 0;
	}
	if (result != 1)
		return;
	used = 0;
	if (asked == 0)
		return;
	asked--;
	/* One line, whatever the guest put in it. */
	for (char *at = answer; *at != 0; at++)
		if (*at == '\n')
			*at = ' ';
	dprintf(LINE_FD, "%s %s\n", failed ? "error" : "ok", answer);
}

static int exit_status(int status)
{
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void reap(int signals, pid_t vmm)
{
	struct signalfd_siginfo ignored[8];
	int status;
	pid_t pid;

	while (read(signals, ignored, sizeof ignored) > 0)
		;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (pid == vmm)
			exit(exit_status(status));
}

static int is_socket(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
}

/* After so many more calls and messages of the VMM: milliseconds until another is served, 0 = at once. */
static int rest_ms(int served)
{
	static int64_t began;
	static int count;
	int64_t now = (int64_t)now_ms();

	if (now - began >= 1000) {
		began = now;
		count = 0;
	}
	count += served;
	return count < CALLS_A_SECOND ? 0 : (int)(began + 1000 - now);
}

static void serve(int control, int line, int listener, int signals, int starter, pid_t vmm)
{
	int rest = 0;
	struct pollfd fds[6] = {
		{signals, POLLIN, 0}, {control, 0, 0}, {listener, POLLIN, 0}, {line, POLLIN, 0}, {-1, POLLIN, 0}, {starter, POLLIN, 0},
	};

	for (;;) {
		fds[4].fd = rest > 0 ? -1 : console_socket;
		if (listener >= 0)
			fds[2].fd = rest > 0 ? -1 : listener;
		fds[2].revents = 0;
		if (poll(fds, 6, rest > 0 ? rest : -1) < 0 && errno != EINTR)
			exit(FAILED);
		if (fds[0].revents)
			reap(signals, vmm);
		if (fds[1].revents & (POLLHUP | POLLERR) || fds[5].revents != 0)
			exit(128 + SIGKILL);
		if (fds[2].revents & POLLIN)
			serve_call(listener);
		else if (fds[2].revents)
			listener = fds[2].fd = -1;
		if (fds[3].revents)
			serve_line();
		if (fds[4].fd >= 0 && fds[4].revents & POLLIN)
			serve_console();
		else if (fds[4].fd >= 0 && fds[4].revents)
			close_fd(&console_socket);
		rest = rest_ms(((fds[2].revents & POLLIN) != 0) + ((fds[4].fd >= 0 && fds[4].revents & POLLIN) != 0));
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

/*
 * Splits in two: returns in the VMM's process, in its place, filtered, about to become its program. The first process
 * serves it and does not come back.
 */
static void become_init(enum filter_kind kind, struct may may, mode_t mask, const struct place *place,
	void (*take_place)(const struct place *))
{
	/* Looked at before anything else is opened under these numbers. */
	int control = is_socket(CONTROL_FD) ? CONTROL_FD : -1;
	int console = kind == FILTER_UML && is_socket(LINE_FD) ? LINE_FD : -1;
	int starter = fcntl(STARTER_FD, F_GETFD) < 0 ? -1 : STARTER_FD;
	int line[2], signals, listener;
	sigset_t all, before;
	char byte;
	pid_t vmm;

	sigfillset(&all);
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
		confine_writes();
		listener = install_filter(kind, may);
		if (listener >= 0 ? send_descriptor(line[1], listener, 0) != 0 : write(line[1], "-", 1) != 1)
			fail("the listener of the system call filter");
		/* Until it is being listened to. */
		if (read(line[1], &byte, 1) != 1)
			_exit(125);
		close(line[1]);
		if (listener >= 0)
			close(listener);
		if (console >= 0)
			close(console);
		if (starter >= 0)
			close(starter);
		sigprocmask(SIG_SETMASK, &before, NULL);
		return;
	}
	close(line[1]);
	listener = receive_descriptor(line[0], &byte);
	signals = signalfd(-1, &all, SFD_NONBLOCK | SFD_CLOEXEC);
	if (signals < 0)
		fail("signalfd");
	umask(077);
	install_filter(FILTER_INIT, (struct may){0, 0});
	(void)!write(line[0], "", 1);
	close_all_but((int[]){control, console, listener, signals, starter}, 5);
	serve(control, console, listener, signals, starter, vmm);
}

#endif

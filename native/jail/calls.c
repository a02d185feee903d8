/* What the filter asks about: the few calls that are harmless when looked at closely are made for the VMM. */
#include "calls.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "../common/descriptor.h"
#include "../common/fail.h"
#include "denied.h"

#define NAME_BYTES 4096

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
#define LET_PASS 1 /* Linux 5.5: SECCOMP_USER_NOTIF_FLAG_CONTINUE */

/* Machines of KVM in the life of a jail: QEMU wants one, and asks again when a signal interrupts it. */
#define MACHINES_MOST 8

/*
 * Requests of taps: a dozen each time that a driver of the guest takes its card. QEMU ends where one is refused, but for that of what may be left
 * uncut, which a guest has it make by itself: that has a count of its own. Never more at once than at first.
 */
#define TAP_REQUESTS_MOST 1024
#define TAP_REQUESTS_A_MINUTE 12

/* System call filters in the life of a jail: QEMU makes one. */
#define FILTERS_MOST 1

/* Processes with descriptors of their own, and programs run, until the VMM has its console; Linux 6.1 makes four, and runs itself. */
#define TABLES_MOST 16

/* Of User Mode Linux (checks.c). */
#define EPOLLS_MOST 1

int console_socket = -1;
pid_t vmm_with_few_files;

static int settled;
static unsigned filters, epolls;

/* How much of what is asked for counts still, and since when less of it is to. */
static struct asked {
	unsigned count;
	time_t at;
} tap_requests, tap_changes;

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
	/* No file: of one that has no name any more we could be the last who has it, and free it. */
	base = open_of_caller(listener, call, part, O_PATH | O_DIRECTORY);
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

/* The ends of UML's management console until it is asked for; -1 = there are none, or no more. */
int console_pair[2] = {-1, -1};

/* Before this process is filtered, which makes no options of sockets then. */
void make_console(void)
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, console_pair) != 0)
		fail("the management console");
	take_no_descriptors(console_pair[0]);
}

/*
 * UML's management console gets one end of a pair and we keep the other: it can send to nobody else. Given and answered in
 * one step, for a signal may interrupt the caller, who then asks again. Returns 0 when the call is answered.
 */
static int give_console(int listener, const struct call *call)
{
	struct call_descriptor descriptor = {.id = call->id, .flags = GIVE_AND_ANSWER, .ours = (uint32_t)console_pair[1]};

	descriptor.theirs_flags = (uint32_t)call->data.arguments[1] & O_CLOEXEC;
	if (console_pair[1] < 0 || ioctl(listener, CALL_GIVE, &descriptor) < 0)
		return -1;
	close_fd(&console_pair[1]);
	console_socket = console_pair[0];
	return 0;
}

void settle(void)
{
	struct rlimit files;

	settled = 1;
	if (vmm_with_few_files <= 0 || prlimit(vmm_with_few_files, RLIMIT_NOFILE, NULL, &files) != 0)
		return;
	files.rlim_cur = files.rlim_max;
	prlimit(vmm_with_few_files, RLIMIT_NOFILE, &files, NULL);
}

/* What is refused is not counted: it would use up what comes with time, and a count that begins anew after its last number. */
static int one_more(unsigned *count, unsigned most)
{
	if (*count >= most)
		return 0;
	++*count;
	return 1;
}

static struct asked *asked_of_tap(const struct call *call)
{
	return (uint32_t)call->data.arguments[1] == SET_UNCUT ? &tap_changes : &tap_requests;
}

static int may_ask_tap(const struct call *call)
{
	struct asked *asked = asked_of_tap(call);
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (asked->at == 0)
		asked->at = now.tv_sec;
	time_t minutes = (now.tv_sec - asked->at) / 60;
	unsigned back = minutes > TAP_REQUESTS_MOST ? TAP_REQUESTS_MOST : (unsigned)minutes * TAP_REQUESTS_A_MINUTE;
	asked->at += minutes * 60;
	asked->count -= back < asked->count ? back : asked->count;
	return one_more(&asked->count, TAP_REQUESTS_MOST);
}

static int makes_epoll(int number)
{
#ifdef __x86_64__
	if (number == SYS_epoll_create)
		return 1;
#endif
	return number == SYS_epoll_create1;
}

/* Asked about for its number and what its registers hold, so that nothing can be exchanged behind our back. */
static int may_pass(const struct call *call)
{
	static unsigned machines, tables;

	if (call->data.number == SYS_ioctl)
		return (uint32_t)call->data.arguments[1] == CREATE_MACHINE ? one_more(&machines, MACHINES_MOST) : may_ask_tap(call);
	if (call->data.number == SYS_seccomp)
		return one_more(&filters, FILTERS_MOST);
	if (makes_epoll(call->data.number))
		return one_more(&epolls, EPOLLS_MOST);
	return !settled && one_more(&tables, TABLES_MOST);
}

/* It was let pass, and did not: a signal came. */
static void take_back(const struct call *call)
{
	if (call->data.number == SYS_seccomp)
		filters--;
	else if (makes_epoll(call->data.number))
		epolls--;
	else if (call->data.number == SYS_ioctl && (uint32_t)call->data.arguments[1] != CREATE_MACHINE)
		asked_of_tap(call)->count -= asked_of_tap(call)->count > 0;
}

static int is_to_pass(int number)
{
#ifdef __x86_64__
	if (number == SYS_fork || number == SYS_vfork)
		return 1;
#endif
	return makes_epoll(number) || number == SYS_ioctl || number == SYS_seccomp || number == SYS_clone || number == SYS_execve || number == SYS_execveat;
}

void serve_call(int listener)
{
	struct call call = {0};
	struct call_answer answer = {0};

	if (ioctl(listener, CALL_RECEIVE, &call) != 0)
		return;
	errno = 0;
	if (call.data.number == SYS_socket) {
		settle();
		if (give_console(listener, &call) == 0)
			return;
		answer.error = -EPERM;
	} else if (is_to_pass(call.data.number)) {
		if (may_pass(&call))
			answer.flags = LET_PASS;
		else
			answer.error = -EPERM;
	} else if (set_directory_mode(listener, &call) != 0) {
		answer.error = -(errno == 0 ? EPERM : errno);
	}
	answer.id = call.id;
	/* Fails when the caller was killed meanwhile, or a signal came, after which it asks again. */
	if (ioctl(listener, CALL_ANSWER, &answer) != 0 && answer.flags == LET_PASS)
		take_back(&call);
}

/*
 * pk-shim: the parent of one kernel's process. It outlives the daemon, holds the control line and the console, keeps the
 * console log and learns the exit status. docs/shim.md is its contract.
 *
 * Everything is one poll loop over non-blocking descriptors; memory is static and bounded. Nothing that the program or a
 * client does may block the loop, except that the program waits while nobody takes its data.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../common/clock.h"
#include "../common/fail.h"
#include "buffer.h"
#include "../common/descriptor.h"
#include "launch.h"
#include "../common/start-time.h"
#include "network.h"
#include "../common/numbers.h"

#define CONSOLE_BYTES 65536
#define LINE_BYTES 4096
#define TEXT_BYTES 8192 /* of an answer */
#define CLIENTS 32
/* How long what the program left behind may go on after its end, and how long its last words may take. */
#define DRAIN_MS 1000
#define JOINS_MAX 4
/* From linux/sched.h and unistd.h, which musl lacks. */
#define CLONE3 435
#define CLONE_INTO_GROUP 0x200000000ull
/* Our own descriptor of the memory that we share with the program; docs/shim.md says it to the daemon. */
#define MEMORY_FD 100
#define MEMORY_MOST (64 << 20)

/* One end of a socket pair with the program, and at most one client that holds it. */
struct relay {
	int program, holder;
	struct buffer out, in; /* program to holder, holder to program */
};

enum kind { FREE, READING, CONSOLE, WAITING, KILLING };

struct client {
	enum kind kind;
	int fd;
	size_t length;
	char text[LINE_BYTES + 1]; /* the request line */
};

const char program_name[] = "pk-shim";

static struct relay relays[2]; /* control, monitor */
static struct client clients[CLIENTS];
static struct buffer console_in;
static int console = -1, listener = -1, signals = -1, log_fd = -1, exit_fd = -1;
static long log_bytes = 1 << 20, log_size;
static pid_t program;
static int ended, status;
static uint64_t end_deadline;
/* Files of control groups that the program writes itself into; the version 2 group that it is born in. */
static int joins[JOINS_MAX], join_count, group = -1;

/* ---- console log ---- */

static void log_open(void)
{
	struct stat st;

	log_fd = open("console.log", O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	log_size = log_fd >= 0 && fstat(log_fd, &st) == 0 ? (long)st.st_size : 0;
}

/* A full disk drops output; the next write tries again. */
static void log_write(const char *bytes, size_t length)
{
	while (length > 0) {
		ssize_t n;

		if (log_fd >= 0 && log_size >= log_bytes) {
			if (rename("console.log", "console.log.1") != 0)
				return;
			close_fd(&log_fd);
		}
		if (log_fd < 0)
			log_open();
		n = log_fd < 0 ? -1 : write(log_fd, bytes, (long)length < log_bytes - log_size ? length : (size_t)(log_bytes - log_size));
		if (n <= 0)
			return;
		log_size += n;
		bytes += n;
		length -= (size_t)n;
	}
}

/* ---- clients ---- */

static void drop_client(struct client *c)
{
	close_fd(&c->fd);
	c->kind = FREE;
}

static void answer(struct client *c, const char *format, ...)
{
	char text[TEXT_BYTES + 16];
	va_list list;
	int n;

	va_start(list, format);
	n = vsnprintf(text, sizeof text, format, list);
	va_end(list);
	if (n > 0)
		(void)!send(c->fd, text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
	drop_client(c);
}

static void kill_program(void)
{
	if (ended)
		return; /* the pid may belong to another process by now */
	kill(-program, SIGKILL);
	kill(program, SIGKILL);
}

/*
 * LIST TID...: for the daemon, which cannot make this system call. The threads are the caller's choice: whoever may open
 * the socket has our uid. One that has ended meanwhile needs no CPU.
 */
static void pin_threads(struct client *c, const char *text)
{
	struct numbers cpus;
	char *end;

	if (parse_numbers(text, &cpus) != 0) {
		answer(c, "error not a list of CPUs\n");
		return;
	}
	for (text = strchr(text, ' '); text != NULL && *text != 0; text = end) {
		long thread = strtol(text, &end, 10);

		if (end == text || thread <= 0 || thread > INT_MAX) {
			answer(c, "error not a thread: %s\n", text);
			return;
		}
		if (sched_setaffinity((pid_t)thread, sizeof cpus, (cpu_set_t *)&cpus) != 0 && errno != ESRCH) {
			answer(c, "error thread %ld: %s\n", thread, strerror(errno));
			return;
		}
	}
	answer(c, "ok\n");
}

/* Gives the program's monitor an open file, with a line end that means nothing to a QMP parser. */
static void pass_fd(struct client *c, int fd, int error, const char *what)
{
	struct relay *monitor = &relays[1];

	if (fd < 0)
		answer(c, "error %s: %s\n", what, strerror(error));
	else if (monitor->program < 0 || !is_empty(&monitor->in))
		answer(c, "error the monitor is busy\n");
	else if (send_descriptor(monitor->program, fd, '\n') != 0)
		answer(c, "error monitor: %s\n", strerror(errno));
	else
		answer(c, "ok\n");
	if (fd >= 0)
		close(fd);
}

static void pass_file(struct client *c, const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	pass_fd(c, fd, errno, path);
}

/* NAMESPACE INTERFACE */
static void pass_tap(struct client *c, char *text)
{
	char *save = NULL, *namespace = strtok_r(text, " ", &save), *interface = strtok_r(NULL, " ", &save);
	int fd;

	if (interface == NULL) {
		answer(c, "error not a tap\n");
		return;
	}
	fd = network_tap(namespace, interface);
	pass_fd(c, fd, errno, interface);
}

/* A new holder replaces the old one. */
static void hold(struct client *c, struct relay *r)
{
	close_fd(&r->holder);
	r->holder = c->fd;
	c->fd = -1;
	c->kind = FREE;
}

static void obey(struct client *c)
{
	if (strcmp(c->text, "control") == 0) {
		hold(c, &relays[0]);
	} else if (strcmp(c->text, "monitor") == 0) {
		hold(c, &relays[1]);
	} else if (strcmp(c->text, "console") == 0) {
		c->kind = CONSOLE;
	} else if (strcmp(c->text, "wait") == 0) {
		c->kind = WAITING;
	} else if (strcmp(c->text, "kill") == 0) {
		c->kind = KILLING;
		kill_program();
	} else if (strcmp(c->text, "status") == 0) {
		if (ended)
			c->kind = WAITING; /* until the exit file says it better */
		else
			answer(c, "running %d\n", (int)program);
	} else if (strncmp(c->text, "pin ", 4) == 0) {
		pin_threads(c, c->text + 4);
	} else if (strncmp(c->text, "pass ", 5) == 0) {
		pass_file(c, c->text + 5);
	} else if (strncmp(c->text, "pass-tap ", 9) == 0) {
		pass_tap(c, c->text + 9);
	} else {
		answer(c, "error unknown request\n");
	}
}

/* Byte by byte up to the line end: what follows belongs to the stream that the connection becomes. */
static void read_line(struct client *c)
{
	char byte;
	ssize_t n;

	while ((n = recv(c->fd, &byte, 1, MSG_DONTWAIT)) == 1) {
		if (byte == '\n') {
			c->text[c->length] = 0;
			obey(c);
			return;
		}
		if (byte == 0 || c->length >= LINE_BYTES) {
			drop_client(c);
			return;
		}
		c->text[c->length++] = byte;
	}
	if (n == 0 || (errno != EAGAIN && errno != EINTR))
		drop_client(c);
}

static void accept_client(void)
{
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), i;

	if (fd < 0)
		return;
	for (i = 0; i < CLIENTS && clients[i].kind != FREE; i++)
		;
	if (i == CLIENTS) {
		/* One that never said what it wants makes room. */
		for (i = 0; i < CLIENTS && clients[i].kind != READING; i++)
			;
		if (i == CLIENTS) {
			close(fd);
			return;
		}
		drop_client(&clients[i]);
	}
	clients[i].kind = READING;
	clients[i].fd = fd;
	clients[i].length = 0;
	read_line(&clients[i]); /* usually the line is there already */
}

/* ---- streams ---- */

static void pump_relay(struct relay *r)
{
	if (r->holder >= 0 && flush_to(&r->out, r->holder) < 0)
		close_fd(&r->holder);
	if (r->program >= 0 && r->holder >= 0 && is_empty(&r->out)) {
		if (fill(&r->out, r->program) < 0)
			close_fd(&r->program);
		if (flush_to(&r->out, r->holder) < 0)
			close_fd(&r->holder);
	}
	if (r->program < 0 && is_empty(&r->out))
		close_fd(&r->holder); /* its end of file */
	if (r->program >= 0 && flush_to(&r->in, r->program) < 0)
		discard(&r->in);
	if (r->holder >= 0 && is_empty(&r->in)) {
		if (fill(&r->in, r->holder) < 0)
			close_fd(&r->holder);
		if (r->program < 0 || flush_to(&r->in, r->program) < 0)
			discard(&r->in);
	}
}

static void pump_console(void)
{
	static char bytes[CONSOLE_BYTES];
	ssize_t n = recv(console, bytes, sizeof bytes, MSG_DONTWAIT);
	int i;

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		close_fd(&console);
		return;
	}
	if (n < 0)
		return;
	log_write(bytes, (size_t)n);
	for (i = 0; i < CLIENTS; i++)
		if (clients[i].kind == CONSOLE &&
		    send(clients[i].fd, bytes, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno != EAGAIN)
			drop_client(&clients[i]);
}

static void read_client(struct client *c)
{
	char ignored[256];
	ssize_t n;

	switch (c->kind) {
	case READING:
		read_line(c);
		break;
	case CONSOLE:
		if (!is_empty(&console_in))
			break;
		if (fill(&console_in, c->fd) < 0)
			drop_client(c);
		else if (console < 0 || flush_to(&console_in, console) < 0)
			discard(&console_in);
		break;
	case WAITING:
	case KILLING:
		n = recv(c->fd, ignored, sizeof ignored, MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			drop_client(c);
		break;
	case FREE:
		break;
	}
}

static void reap(void)
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

static int is_drained(void)
{
	int i;

	if (console >= 0)
		return 0;
	for (i = 0; i < 2; i++)
		if (relays[i].holder >= 0 && (relays[i].program >= 0 || !is_empty(&relays[i].out)))
			return 0;
	return 1;
}

/* One that nothing is wanted of is left out, or its hangup would spin the loop. */
static void watch(struct pollfd *fds, int *n, int fd, int wanted)
{
	fds[(*n)++] = (struct pollfd){wanted ? fd : -1, (short)wanted, 0};
}

static void loop(void)
{
	struct pollfd fds[3 + 4 + CLIENTS];
	uint64_t now, next;
	int i, n;

	for (;;) {
		for (i = 0; i < 2; i++)
			pump_relay(&relays[i]);
		if (console >= 0 && flush_to(&console_in, console) < 0)
			discard(&console_in);
		now = now_ms();
		if (ended && (now >= end_deadline || is_drained()))
			return;
		next = ended ? end_deadline : UINT64_MAX;
		n = 0;
		watch(fds, &n, signals, POLLIN);
		watch(fds, &n, listener, POLLIN);
		watch(fds, &n, console, POLLIN | (is_empty(&console_in) ? 0 : POLLOUT));
		for (i = 0; i < 2; i++) {
			struct relay *r = &relays[i];

			watch(fds, &n, r->program, (r->holder >= 0 && is_empty(&r->out) ? POLLIN : 0) | (is_empty(&r->in) ? 0 : POLLOUT));
			watch(fds, &n, r->holder, (is_empty(&r->in) ? POLLIN : 0) | (is_empty(&r->out) ? 0 : POLLOUT));
		}
		for (i = 0; i < CLIENTS; i++) {
			struct client *c = &clients[i];

			watch(fds, &n, c->fd, c->kind != CONSOLE || is_empty(&console_in) ? POLLIN : 0);
		}
		if (poll(fds, (nfds_t)n, next == UINT64_MAX ? -1 : next > now ? (int)(next - now) : 0) < 0 && errno != EINTR)
			fail("poll");
		if (fds[0].revents)
			reap();
		if (fds[2].revents)
			pump_console();
		for (i = 0; i < CLIENTS; i++) {
			struct client *c = &clients[i];

			/* A slot that was freed and taken again in this round has another descriptor or waits for the next. */
			if (fds[7 + i].revents && c->kind != FREE && c->fd == fds[7 + i].fd)
				read_client(c);
		}
		if (fds[1].revents)
			accept_client();
	}
}

/* ---- start and end ---- */

static void write_exit(void)
{
	char text[40];
	int i, n, signalled = WIFSIGNALED(status);

	n = snprintf(text, sizeof text, "%s %d\n", signalled ? "signal" : "code", signalled ? WTERMSIG(status) : WEXITSTATUS(status));
	/* The block was taken at the start, so that a full disk cannot lose the status. */
	if (pwrite(exit_fd, text, (size_t)n, 0) == n && ftruncate(exit_fd, n) == 0)
		rename("exit.new", "exit");
	unlink("shim.sock");
	for (i = 0; i < CLIENTS; i++)
		if (clients[i].kind == WAITING)
			answer(&clients[i], "%s", text);
}

/* One shim per directory; the lock lives as long as we do, and the file tells who that is. */
static void claim_directory(void)
{
	int fd = open("shim.pid", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		fail("shim.pid");
	if (flock(fd, LOCK_EX | LOCK_NB) != 0)
		fail("another pk-shim holds this directory");
	if (ftruncate(fd, 0) != 0 || dprintf(fd, "%d %llu\n", (int)getpid(), (unsigned long long)own_start_time()) < 0)
		fail("shim.pid");
	unlink("exit");
	exit_fd = open("exit.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (exit_fd < 0 || write(exit_fd, "                               \n", 32) != 32)
		fail("exit.new");
}

static void listen_here(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "shim.sock"};

	unlink(address.sun_path);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) != 0 ||
	    chmod(address.sun_path, 0600) != 0 || listen(listener, 64) != 0)
		fail("shim.sock");
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

static void start_program(char **argv, const int *passed, int count, mode_t mask)
{
	int theirs[3], failure[2], report, error = 0, i;
	pid_t shim = getpid();
	sigset_t none;

	relays[0].holder = relays[1].holder = -1;
	console = pair(&theirs[0]);
	relays[0].program = pair(&theirs[1]);
	relays[1].program = pair(&theirs[2]);
	if (pipe2(failure, O_CLOEXEC) != 0 || (report = fcntl(failure[1], F_DUPFD_CLOEXEC, 64)) < 0)
		fail("pipe");
	close(failure[1]);
	program = fork_into(group);
	if (program < 0)
		fail("fork");
	if (program == 0) {
		sigemptyset(&none);
		setsid();
		umask(mask);
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != shim)
			_exit(1);
		signal(SIGHUP, SIG_DFL), signal(SIGPIPE, SIG_DFL), signal(SIGINT, SIG_DFL), signal(SIGTERM, SIG_DFL);
		sigprocmask(SIG_SETMASK, &none, NULL);
		/* Before it can start anything: 0 is the writer. */
		for (i = 0; i < join_count; i++)
			if (write(joins[i], "0", 1) != 1) {
				error = errno;
				(void)!write(report, &error, sizeof error);
				_exit(127);
			}
		for (i = 0; i < count; i++)
			fcntl(passed[i], F_SETFD, 0);
		for (i = 0; i < 5; i++)
			dup2(theirs[i < 3 ? 0 : i - 2], i);
		execvp(argv[0], argv);
		error = errno;
		(void)!write(report, &error, sizeof error);
		_exit(127);
	}
	close(report);
	for (i = 0; i < 3; i++)
		close(theirs[i]);
	for (i = 0; i < count; i++)
		close(passed[i]);
	for (i = 0; i < join_count; i++)
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

/* A directory is a version 2 group, a file takes the thread that writes 0 into it. Above the numbers that the program gets. */
static void open_group(const char *path)
{
	int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int file = directory >= 0 ? directory : open(path, O_WRONLY | O_CLOEXEC);
	int high = file < 0 ? -1 : fcntl(file, F_DUPFD_CLOEXEC, 64);

	if (high < 0 || (directory >= 0 && group >= 0))
		fail("--join %s", path);
	close(file);
	if (directory >= 0)
		group = high;
	else
		joins[join_count++] = high;
}

/* Memory whose size nobody can change, for whoever may open our descriptor of it, and the program: the number of its copy. */
static void share_memory(long bytes, int theirs)
{
	int fd = memfd_create("pk-line", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || ftruncate(fd, bytes) != 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0 ||
	    dup3(fd, MEMORY_FD, O_CLOEXEC) < 0 || dup2(fd, theirs) < 0)
		fail("--memory");
	if (fd != theirs)
		close(fd);
}

int main(int argc, char **argv)
{
	int passed[PASSED_MAX], count = 0, at, null, to_join = 0, held = -1;
	long memory = 0;
	const char *directory = NULL, *joined[JOINS_MAX];
	char *end, *packet = NULL, *save = NULL;
	sigset_t child;
	mode_t mask;

	for (at = 1; at < argc && strcmp(argv[at], "--") != 0; at += 2) {
		errno = 0;
		if (at + 1 >= argc)
			fail("%s wants a value", argv[at]);
		if (strcmp(argv[at], "--dir") == 0) {
			directory = argv[at + 1];
		} else if (strcmp(argv[at], "--log-bytes") == 0) {
			log_bytes = strtol(argv[at + 1], &end, 10);
			if (*end != 0 || log_bytes < 1)
				fail("--log-bytes: %s is not a number of bytes", argv[at + 1]);
		} else if (strcmp(argv[at], "--cpus") == 0) {
			struct numbers cpus;

			if (parse_numbers(argv[at + 1], &cpus) != 0)
				fail("--cpus: %s is not a list of CPUs", argv[at + 1]);
			if (sched_setaffinity(0, sizeof cpus, (cpu_set_t *)&cpus) != 0)
				fail("--cpus %s", argv[at + 1]);
		} else if (strcmp(argv[at], "--fds") == 0) {
			count = parse_list(argv[at], argv[at + 1], passed, PASSED_MAX);
		} else if (strcmp(argv[at], "--hold") == 0) {
			parse_list(argv[at], argv[at + 1], &held, 1);
		} else if (strcmp(argv[at], "--packet") == 0) {
			packet = argv[at + 1];
		} else if (strcmp(argv[at], "--memory") == 0) {
			memory = strtol(argv[at + 1], &end, 10);
			if (*end != 0 || memory < 1 || memory > MEMORY_MOST)
				fail("--memory: %s is not a number of bytes", argv[at + 1]);
		} else if (strcmp(argv[at], "--join") == 0) {
			if (to_join == JOINS_MAX)
				fail("--join: too many");
			joined[to_join++] = argv[at + 1];
		} else {
			fail("unknown option %s", argv[at]);
		}
	}
	errno = 0;
	if (directory == NULL || at + 1 >= argc)
		fail("usage: pk-shim --dir DIR [--log-bytes N] [--cpus LIST] [--fds LIST] [--hold FD] [--packet NAMESPACE,INTERFACE,PEER] [--memory BYTES] [--join PATH].. -- PROGRAM ARG...");
	if (chdir(directory) != 0)
		fail("%s", directory);
	setsid(); /* fails when the caller has done it already */
	close_inherited(passed, count, held);
	if (held >= 0) {
		/* Nobody reads or writes it: a lock on it lasts as long as we do. Out of the way of the numbers behind --fds. */
		if (fcntl(held, F_DUPFD_CLOEXEC, 64) < 0)
			fail("--hold %d", held);
		close(held);
	}
	for (int i = 0; i < to_join; i++)
		open_group(joined[i]);
	if (packet != NULL) {
		char *namespace = strtok_r(packet, ",", &save), *interface = strtok_r(NULL, ",", &save);
		char *peer = strtok_r(NULL, ",", &save);
		int fd = peer == NULL || count == PASSED_MAX ? -1 : network_packet(namespace, interface, peer);

		/* Behind the descriptors that were inherited, which begin at 5. */
		if (fd < 0 || dup2(fd, 5 + count) < 0)
			fail("--packet %s", packet);
		if (fd != 5 + count)
			close(fd);
		passed[count] = 5 + count;
		count++;
	}
	if (memory > 0) {
		if (count == PASSED_MAX)
			fail("--memory: too many descriptors");
		share_memory(memory, 5 + count);
		passed[count] = 5 + count;
		count++;
	}
	mask = umask(0077);
	signal(SIGHUP, SIG_IGN), signal(SIGPIPE, SIG_IGN), signal(SIGINT, SIG_IGN), signal(SIGTERM, SIG_IGN);
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	signals = signalfd(-1, &child, SFD_NONBLOCK | SFD_CLOEXEC);
	for (int i = 0; i < CLIENTS; i++)
		clients[i].fd = -1;
	claim_directory();
	log_open();
	listen_here();
	start_program(argv + at + 1, passed, count, mask);
	dprintf(1, "ready %d\n", (int)program);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int i = 0; i < 3; i++)
		dup2(null, i);
	loop();
	write_exit();
	return 0;
}

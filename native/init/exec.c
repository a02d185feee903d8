/* EXEC: starts a process of the workload as the user it is to be. */
#include "exec.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "../common/descriptor.h"
#include "bytes.h"
#include "configure.h"
#include "frames.h"
#include "protocol.h"
#include "sessions.h"
#include "streams.h"
#include "users.h"

#ifndef TIOCGPTPEER
#define TIOCGPTPEER 0x5441
#endif

/* Each time that one fills or runs dry, processes are switched. What goes out of one is at most BARE_OUT at a time. */
static const int pipe_bytes[3] = {1048576, 524288, 65536};

enum { STRINGS = 16384 }; /* of arguments, and of the environment */

static char *arguments[STRINGS], *environment[STRINGS];

struct start {
	char **argv, **env;
	const char *cwd;
	const char *volatile failed; /* these three come from the child, behind the compiler's back */
	volatile int error, cwd_error; /* the latter: why it begins in /, where that will do */
	const struct guest_user *user;
	int fds[3], tty, detached, cwd_optional, merged;
};

/* Runs in the vforked child: shares memory with the parent, so it only makes system calls and notes why it failed. */
static void child(struct start *volatile x)
{
	static char path[4096];
	struct stat st;
	sigset_t none;
	sigemptyset(&none);
	setsid();
	x->failed = "standard streams";
	for (int i = 0; i < 3; i++)
		if (dup2(x->fds[i], i) < 0) goto failed;
	if (x->tty && ioctl(0, TIOCSCTTY, 0)) goto failed;
	x->failed = "cwd";
	int elsewhere = chdir(x->cwd); /* before the user is changed, and again after: either may be the one allowed to */
	x->failed = "user";
	/* The plain system calls: musl's wrappers would try to change every thread, and memory is shared with the parent. */
	const struct guest_user *u = x->user;
	/* 9p keeps what it knew of a directory that is in use, as a volume itself is: asked for it, the user may what the host says now; root may all. */
	if (!elsewhere && u->uid) stat(".", &st);
	if (syscall(SYS_setgroups, u->group_count, u->groups) || syscall(SYS_setresgid, u->gid, u->gid, u->gid)) goto failed;
	if (syscall(SYS_setresuid, u->uid, u->uid, u->uid)) goto failed;
	x->failed = "cwd";
	if (elsewhere && chdir(x->cwd)) {
		if (!x->cwd_optional) goto failed;
		x->cwd_error = errno;
		if (chdir("/")) goto failed;
	}
	umask(022);
	signal(SIGPIPE, SIG_DFL);
	signal(SIGCHLD, SIG_DFL);
	/* Before they are let through: the agent's own handlers would write in the agent's memory. */
	signal(SIGUSR1, SIG_DFL), signal(SIGUSR2, SIG_DFL), signal(SIGTERM, SIG_DFL);
	sigprocmask(SIG_SETMASK, &none, NULL);
	x->failed = "command";
	const char *name = x->argv[0], *search = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	if (strchr(name, '/')) {
		execve(name, x->argv, x->env);
		int error = errno;
		if (error == ENOENT && !stat(name, &st)) x->failed = "interpreter";
		errno = error;
		goto failed;
	}
	for (char **e = x->env; *e; e++)
		if (!strncmp(*e, "PATH=", 5)) search = *e + 5;
	int denied = 0; /* as shells do it: only a file that is there counts, not a directory that may not be searched */
	errno = ENOENT;
	while (*name) {
		size_t n = strcspn(search, ":");
		if (n + strlen(name) + 2 < sizeof path) {
			memcpy(path, search, n);
			if (n) path[n++] = '/';
			strcpy(path + n, name);
			execve(path, x->argv, x->env);
			int error = errno;
			if (!stat(path, &st) && !S_ISDIR(st.st_mode)) {
				errno = error;
				x->failed = error == ENOENT ? "interpreter" : "command";
				if (error == EACCES) denied = 1;
				else if (error != ENOENT) goto failed;
			}
		}
		search += strcspn(search, ":");
		if (!*search++) break;
	}
	if (denied) x->failed = "command";
	errno = denied ? EACCES : ENOENT;
failed:
	x->error = errno;
	_exit(127);
}

static int open_pty(struct session *s, struct start *x, u32 rows, u32 columns)
{
	struct termios modes;
	int unlocked = 0;
	struct winsize size = {.ws_row = (unsigned short)rows, .ws_col = (unsigned short)columns};
	s->out[0] = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (s->out[0] < 0 || ioctl(s->out[0], TIOCSPTLCK, &unlocked) || ioctl(s->out[0], TIOCSWINSZ, &size)) return -1;
	if (!tcgetattr(s->out[0], &modes)) {
		modes.c_iflag |= IUTF8; /* as terminals are: Backspace takes a character, and not its last byte */
		tcsetattr(s->out[0], TCSANOW, &modes);
	}
	int fd = ioctl(s->out[0], TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (fd < 0) return -1;
	x->fds[0] = x->fds[1] = x->fds[2] = fd;
	if (fchown(fd, x->user->uid, 5)) return -1; /* group tty */
	s->in = fcntl(s->out[0], F_DUPFD_CLOEXEC, 3);
	return s->in < 0 ? -1 : 0;
}

static int open_pipes(struct session *s, struct start *x)
{
	int p[2];
	for (int i = 0; i < 3; i++) {
		if (i == 2 && x->merged) { /* one pipe, which keeps the order of both */
			x->fds[2] = fcntl(x->fds[1], F_DUPFD_CLOEXEC, 3);
			return x->fds[2] < 0 ? -1 : 0;
		}
		if (pipe2(p, O_CLOEXEC)) return -1;
		x->fds[i] = p[i != 0];
		*(i ? &s->out[i - 1] : &s->in) = p[i == 0];
		fcntl(p[0], F_SETPIPE_SZ, pipe_bytes[i]); /* without it, it is only slower */
		if (fcntl(p[i == 0], F_SETFL, O_NONBLOCK)) return -1;
		if (fchown(x->fds[i], x->user->uid, x->user->gid)) return -1; /* so that it may open /dev/stdin and the like */
	}
	return 0;
}

/* Nobody reads what it says, so that it ends with the guest and not with who asked for it. */
static int open_nothing(struct start *x)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	x->fds[0] = x->fds[1] = x->fds[2] = fd;
	return fd < 0 ? -1 : 0;
}

void exec_session(u32 id, u8 *p, u32 n)
{
	struct session *s = session_new(id);
	if (!s) return;
	static struct guest_user user;
	static char home[sizeof user.home + 5], root[2];
	struct start x = {.cwd = "/", .user = &user, .fds = {-1, -1, -1}};
	u32 rows = 24, columns = 80, args = 0, envs = 0;
	u8 *const end = p + n;
	char *key, *value, *who = strcpy(root, "0");
	const char *part = "";
	int has_home = 0, error;
	while ((key = next_pair(&p, end, &value)) && args + 1 < STRINGS && envs + 2 < STRINGS) {
		if (!strcmp(key, "arg")) arguments[args++] = value;
		else if (!strcmp(key, "env")) environment[envs++] = value, has_home |= !strncmp(value, "HOME=", 5);
		else if (!strcmp(key, "cwd")) x.cwd = value;
		else if (!strcmp(key, "cwd-optional")) x.cwd_optional = *value == '1';
		else if (!strcmp(key, "merged")) x.merged = *value == '1';
		else if (!strcmp(key, "user")) who = value;
		else if (!strcmp(key, "tty")) x.tty = s->tty = *value == '1';
		else if (!strcmp(key, "detached")) x.detached = *value == '1';
		else if (!strcmp(key, "rows")) rows = (u32)strtoul(value, NULL, 10);
		else if (!strcmp(key, "cols")) columns = (u32)strtoul(value, NULL, 10);
	}
	if (key || !args) {
		session_end(s, EXIT_NOT_STARTED, key ? E2BIG : EINVAL, key ? "arguments" : "command");
		return;
	}
	if ((error = guest_user_find(who, &user, &part))) {
		session_end(s, EXIT_NOT_STARTED, (u32)error, part);
		return;
	}
	if (!has_home) {
		snprintf(home, sizeof home, "HOME=%s", user.home);
		environment[envs++] = home;
	}
	arguments[args] = environment[envs] = NULL;
	x.argv = arguments, x.env = environment;
	if (x.detached) x.tty = s->tty = 0;
	if (x.detached ? open_nothing(&x) : x.tty ? open_pty(s, &x, rows, columns) : open_pipes(s, &x)) {
		x.error = errno, x.failed = x.detached ? "/dev/null" : x.tty ? "pseudo-terminal" : "pipes";
	} else {
		flow_end(); /* how the agent is scheduled, the process is */
		pid_t pid = vfork();
		if (!pid) child(&x);
		if (pid < 0) x.error = errno, x.failed = "fork";
		else if (!x.error) s->pid = pid;
		else while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {}
	}
	for (int i = 0; i < (x.tty || x.detached ? 1 : 3); i++) close_fd(&x.fds[i]);
	if (x.error) {
		close_fd(&s->out[0]), close_fd(&s->out[1]);
		session_end(s, EXIT_NOT_STARTED, (u32)x.error, x.failed);
		return;
	}
	frame_text(G_STARTED, id, (u32)s->pid, x.cwd_error, "");
	if (x.detached) s->pid = 0, session_end(s, EXIT_CODE, 0, "");
}

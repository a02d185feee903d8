/* What a client may ask for: docs/shim.md. */
#include "requests.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../common/descriptor.h"
#include "../common/numbers.h"
#include "buffer.h"
#include "clients.h"
#include "network.h"
#include "program.h"
#include "relays.h"

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

/* Gives the program's monitor an open file, with a line end that means nothing to a QMP parser. Whether it has it; if not, the client has its answer. */
static int give_program(struct client *c, int fd, int error, const char *what)
{
	struct relay *monitor = &relays[MONITOR];
	int given = 0;

	if (fd < 0)
		answer(c, "error %s: %s\n", what, strerror(error));
	else if (monitor->program < 0 || !is_empty(&monitor->in))
		answer(c, "error the monitor is busy\n");
	else if (send_descriptor(monitor->program, fd, '\n') != 0)
		answer(c, "error monitor: %s\n", strerror(errno));
	else
		given = 1;
	if (fd >= 0)
		close(fd);
	return given;
}

static void pass_fd(struct client *c, int fd, int error, const char *what)
{
	if (give_program(c, fd, error, what))
		answer(c, "ok\n");
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

/*
 * What the program writes to it goes to the client, whose end is the program's error. Not the client's own connection: descriptors that the
 * program sends along, whose end can take the host's kernel seconds, would be let go of by who reads them.
 */
static void pass_connection(struct client *c)
{
	struct relay *r = &relays[PASSED];
	int ends[2] = {-1, -1}, made = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends);

	if (!give_program(c, made == 0 ? ends[1] : -1, errno, "connection")) {
		close_fd(&ends[0]);
		return;
	}
	close_fd(&r->holder);
	close_fd(&r->program);
	discard(&r->in);
	discard(&r->out);
	take_no_descriptors(ends[0]);
	r->program = ends[0];
	(void)!send(c->fd, "ok\n", 3, MSG_DONTWAIT | MSG_NOSIGNAL);
	hold(c, r);
}

void obey(struct client *c)
{
	if (strcmp(c->text, "control") == 0) {
		hold(c, &relays[CONTROL]);
	} else if (strcmp(c->text, "monitor") == 0) {
		hold(c, &relays[MONITOR]);
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
	} else if (strcmp(c->text, "pass-connection") == 0) {
		pass_connection(c);
	} else if (strncmp(c->text, "pass-tap ", 9) == 0) {
		pass_tap(c, c->text + 9);
	} else {
		answer(c, "error unknown request\n");
	}
}

/*
 * pk-forward FILE LISTEN_ADDRESS LISTEN_PORT NAMESPACE TARGET_ADDRESS TARGET_PORT
 *
 * Takes TCP connections of the host and joins each with one to a target in a network namespace. Says `ready` and detaches from
 * its standard streams; FILE then says `PID START_TIME`. Ends by SIGTERM, and when FILE is gone or names another process.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>

#include "keep.h"
#include "namespace.h"

#define PAIRS 1024
#define BUFFER_BYTES 32768

/* One direction: what was read from one socket and not yet written to the other. */
struct flow {
	char *bytes;
	size_t from, to;
	int ended; /* 1: its source has closed; 2: and the other side was told */
};

struct pair {
	int fd[2]; /* client, target; -1: the slot is free */
	int connecting;
	struct flow flow[2]; /* [0] client to target */
};

static struct pair pairs[PAIRS];
static char *memory;

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "pk-forward: %s: %s\n", what, strerror(errno));
	exit(errno == EADDRINUSE ? 3 : 1);
}

static void drop(struct pair *p)
{
	close(p->fd[0]), close(p->fd[1]);
	p->fd[0] = p->fd[1] = -1;
}

static void take(int listener, const struct sockaddr_in *target)
{
	int one = 1, client = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), other;
	struct pair *p = pairs;

	if (client < 0)
		return;
	while (p < pairs + PAIRS && p->fd[0] >= 0)
		p++;
	other = p == pairs + PAIRS ? -1 : socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (other < 0 || (connect(other, (const struct sockaddr *)target, sizeof *target) != 0 && errno != EINPROGRESS)) {
		if (other >= 0)
			close(other);
		close(client);
		return;
	}
	setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	setsockopt(other, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	p->fd[0] = client, p->fd[1] = other, p->connecting = 1;
	for (int i = 0; i < 2; i++)
		p->flow[i] = (struct flow){ .bytes = memory + ((size_t)(p - pairs) * 2 + (size_t)i) * BUFFER_BYTES };
}

/* Moves what can be moved in one direction. Negative: the pair is over. */
static int move(struct pair *p, int way)
{
	struct flow *f = &p->flow[way];
	ssize_t n;

	if (!f->ended && f->to == 0) {
		n = recv(p->fd[way], f->bytes, BUFFER_BYTES, 0);
		if (n == 0)
			f->ended = 1;
		else if (n > 0)
			f->from = 0, f->to = (size_t)n;
		else if (errno != EAGAIN && errno != EINTR)
			return -1;
	}
	while (f->from < f->to) {
		n = send(p->fd[1 - way], f->bytes + f->from, f->to - f->from, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : -1;
		f->from += (size_t)n;
	}
	f->from = f->to = 0;
	if (f->ended == 1) {
		shutdown(p->fd[1 - way], SHUT_WR);
		f->ended = 2;
	}
	return p->flow[0].ended == 2 && p->flow[1].ended == 2 ? -1 : 0;
}

static void serve(struct pair *p, short client, short target)
{
	int error = 0;
	socklen_t length = sizeof error;

	if (p->connecting) {
		if (client & (POLLHUP | POLLERR)) {
			drop(p);
			return;
		}
		if (!target)
			return;
		if (getsockopt(p->fd[1], SOL_SOCKET, SO_ERROR, &error, &length) != 0 || error) {
			/* The client sees a reset, as it would without us. */
			struct linger hard = { 1, 0 };

			setsockopt(p->fd[0], SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
			drop(p);
			return;
		}
		p->connecting = 0;
	}
	if (move(p, 0) < 0 || move(p, 1) < 0)
		drop(p);
}

static _Noreturn void loop(int listener, const struct sockaddr_in *target, const char *file)
{
	static struct pollfd polls[1 + 2 * PAIRS];
	struct timespec now;
	time_t looked = 0;

	for (;;) {
		polls[0] = (struct pollfd){ listener, POLLIN, 0 };
		for (int i = 0; i < PAIRS; i++) {
			struct pair *p = &pairs[i];
			short want[2] = { 0, 0 };

			for (int way = 0; way < 2 && p->fd[0] >= 0 && !p->connecting; way++) {
				if (p->flow[way].to > 0)
					want[1 - way] |= POLLOUT;
				else if (!p->flow[way].ended)
					want[way] |= POLLIN;
			}
			if (p->fd[0] >= 0 && p->connecting)
				want[1] = POLLOUT;
			for (int side = 0; side < 2; side++)
				polls[1 + 2 * i + side] = (struct pollfd){ want[side] || p->connecting ? p->fd[side] : -1, want[side], 0 };
		}
		if (poll(polls, 1 + 2 * PAIRS, LOOK_MS) < 0 && errno != EINTR)
			die("poll");
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (now.tv_sec - looked >= LOOK_MS / 1000) {
			looked = now.tv_sec;
			if (!keep_is_wanted(file))
				exit(0);
		}
		for (int i = 0; i < PAIRS; i++)
			if (pairs[i].fd[0] >= 0 && (polls[1 + 2 * i].revents || polls[2 + 2 * i].revents))
				serve(&pairs[i], polls[1 + 2 * i].revents, polls[2 + 2 * i].revents);
		if (polls[0].revents)
			take(listener, target);
	}
}

static int address(const char *text, const char *port, struct sockaddr_in *at)
{
	char *end;
	unsigned long number = strtoul(port, &end, 10);

	at->sin_family = AF_INET;
	at->sin_port = htons((uint16_t)number);
	return *port < '0' || *port > '9' || *end != 0 || number == 0 || number > 65535 || inet_pton(AF_INET, text, &at->sin_addr) != 1;
}

int main(int argc, char **argv)
{
	struct sockaddr_in here = { 0 }, target = { 0 };
	int listener, one = 1;

	errno = EINVAL;
	if (argc != 7 || address(argv[2], argv[3], &here) || address(argv[5], argv[6], &target))
		die("usage: pk-forward FILE LISTEN_ADDRESS LISTEN_PORT NAMESPACE TARGET_ADDRESS TARGET_PORT");
	memory = malloc((size_t)PAIRS * 2 * BUFFER_BYTES); /* touched only as far as connections use it */
	listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (memory == NULL || listener < 0)
		die("socket");
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(listener, (struct sockaddr *)&here, sizeof here) != 0 || listen(listener, 1024) != 0)
		die("listen");
	/* The listener stays where it was made; every later socket is in there. */
	if (namespace_enter(argv[4]) != 0)
		die(argv[4]);
	for (int i = 0; i < PAIRS; i++)
		pairs[i].fd[0] = pairs[i].fd[1] = -1;
	if (keep_begin(argv[1], -1) != 0)
		die(argv[1]);
	loop(listener, &target, argv[1]);
}

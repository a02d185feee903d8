/*
 * pk-forward FILE LISTEN_ADDRESS LISTEN_PORT NAMESPACE TARGET_ADDRESS TARGET_PORT
 *
 * Takes TCP connections of the host and joins each with one to a target in a network namespace. Says `ready` and detaches from
 * its standard streams; FILE then says `PID START_TIME`. Ends by SIGTERM, and when FILE is gone or names another process.
 *
 * So many connections at once. One more takes the place of another:
 * - of the address that has the most, where its own has fewer by two;
 * - else, where its own has none, so that all have one, of the longest silent;
 * - else of one that never said anything or is long silent, or it is reset.
 * So no address closes the port to others, no silent clients close it to anybody, and an address without a connection always
 * gets one. Against more than a thousand addresses it lasts for as long as it is not the longest silent.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#include "keep.h"
#include "namespace.h"

#define PAIRS 1024
#define BUFFER_BYTES 32768
/* Besides those of connections. */
#define OTHER_FILES 64
/* How long the target may take to answer, and how long a connection is silent before another of its client may take its place. */
#define CONNECT_S 30
#define SILENT_S 60
/* Of peers that are gone without a word. */
#define KEEP_IDLE_S 300
#define KEEP_INTERVAL_S 60
#define KEEP_COUNT 5
/* After the kernel had no file or memory for another connection. */
#define ACCEPT_AGAIN_MS 200
#define ACCEPT_AT_ONCE 16
#define SECOND 1000000000LL

/* One direction: what was read from one socket and not yet written to the other. */
struct flow {
	char *bytes;
	size_t from, to;
	int ended; /* 1: its source has closed; 2: and the other side was told */
};

/* An address that has connections; without one the slot is free. */
struct client {
	in_addr_t address;
	unsigned count;
};

struct pair {
	int fd[2]; /* client, target; -1: the slot is free */
	int connecting, spoke; /* spoke: the client sent something */
	int client; /* in clients */
	int64_t begun, moved; /* when something last moved */
	struct flow flow[2]; /* [0] client to target */
};

static struct pair pairs[PAIRS];
static char *memory;
static struct client clients[PAIRS];
static int64_t now; /* nanoseconds; every new pair has one of its own */

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "pk-forward: %s: %s\n", what, strerror(errno));
	exit(errno == EADDRINUSE ? 3 : 1);
}

static void allow_files(void)
{
	struct rlimit limit;
	rlim_t wanted = 2 * PAIRS + OTHER_FILES;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		die("limit of open files");
	if (limit.rlim_cur >= wanted)
		return;
	limit.rlim_cur = wanted;
	if (limit.rlim_max < wanted)
		limit.rlim_max = wanted;
	if (setrlimit(RLIMIT_NOFILE, &limit) == 0)
		return;
	getrlimit(RLIMIT_NOFILE, &limit);
	fprintf(stderr, "pk-forward: it needs %d open files, and the limit is %llu: raise it (ulimit -Hn, LimitNOFILE=)\n",
		2 * PAIRS + OTHER_FILES, (unsigned long long)limit.rlim_max);
	exit(1);
}

static void drop(struct pair *p)
{
	close(p->fd[0]), close(p->fd[1]);
	p->fd[0] = p->fd[1] = -1;
	clients[p->client].count--;
}

/* Its client sees a reset, as it would without us. */
static void hang_up(int client)
{
	struct linger hard = { 1, 0 };

	setsockopt(client, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
}

static void drop_hard(struct pair *p)
{
	hang_up(p->fd[0]);
	drop(p);
}

/* Of two connections the one that is missed less: that never spoke, and then that is silent longer. */
static int is_less(const struct pair *a, const struct pair *b)
{
	if (a->spoke != b->spoke)
		return !a->spoke;
	return a->spoke ? a->moved < b->moved : a->begun < b->begun;
}

/* The slot of an address, or a free one for it; -1: others have them all. */
static int client_of(in_addr_t address)
{
	int empty = -1;

	for (int i = 0; i < PAIRS; i++) {
		if (clients[i].count > 0 && clients[i].address == address)
			return i;
		if (clients[i].count == 0)
			empty = i;
	}
	return empty;
}

static unsigned count_of(const struct pair *p)
{
	return clients[p->client].count;
}

/* A place for one more connection of an address that has so many; NULL when it has to go itself. */
static struct pair *make_room(unsigned own)
{
	struct pair *p, *victim = NULL;
	unsigned most = 0;
	int is_other, is_first;

	for (p = pairs; p < pairs + PAIRS; p++) {
		if (p->fd[0] < 0)
			return p;
		if (count_of(p) > most)
			most = count_of(p);
	}
	/* One more alone is no reason: two would drive each other out in turn. */
	is_other = most > own + 1;
	is_first = own == 0 && !is_other;
	for (p = pairs; p < pairs + PAIRS; p++) {
		if (count_of(p) < (is_other ? most : own))
			continue;
		/* By silence alone, so that who came last has time to say something. */
		if (victim == NULL || (is_first ? p->moved < victim->moved : is_less(p, victim)))
			victim = p;
	}
	if (victim == NULL || (!is_other && !is_first && victim->spoke && now - victim->moved < SILENT_S * SECOND))
		return NULL;
	drop_hard(victim);
	return victim;
}

static void set_number(int fd, int level, int option, int value)
{
	setsockopt(fd, level, option, &value, sizeof value);
}

/* Negative: there was no file or memory for it. */
static int take(int listener, const struct sockaddr_in *target)
{
	struct sockaddr_in from = { 0 };
	socklen_t size = sizeof from;
	int client = accept4(listener, (struct sockaddr *)&from, &size, SOCK_NONBLOCK | SOCK_CLOEXEC), other;
	int slot = client_of(from.sin_addr.s_addr);
	struct pair *p;

	if (client < 0)
		return errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM ? -1 : 0;
	p = make_room(slot < 0 ? 0 : clients[slot].count);
	other = p == NULL ? -1 : socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (other < 0 || (connect(other, (const struct sockaddr *)target, sizeof *target) != 0 && errno != EINPROGRESS)) {
		if (other >= 0)
			close(other);
		hang_up(client);
		close(client);
		return 0;
	}
	/* Whoever made room may have been of that address, or freed a slot. */
	slot = client_of(from.sin_addr.s_addr);
	clients[slot] = (struct client){ from.sin_addr.s_addr, clients[slot].count + 1 };
	now++;
	*p = (struct pair){ .fd = { client, other }, .connecting = 1, .client = slot, .begun = now, .moved = now };
	for (int i = 0; i < 2; i++) {
		p->flow[i] = (struct flow){ .bytes = memory + ((size_t)(p - pairs) * 2 + (size_t)i) * BUFFER_BYTES };
		set_number(p->fd[i], IPPROTO_TCP, TCP_NODELAY, 1);
		set_number(p->fd[i], SOL_SOCKET, SO_KEEPALIVE, 1);
		set_number(p->fd[i], IPPROTO_TCP, TCP_KEEPIDLE, KEEP_IDLE_S);
		set_number(p->fd[i], IPPROTO_TCP, TCP_KEEPINTVL, KEEP_INTERVAL_S);
		set_number(p->fd[i], IPPROTO_TCP, TCP_KEEPCNT, KEEP_COUNT);
	}
	return 0;
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
			f->from = 0, f->to = (size_t)n, p->moved = now, p->spoke |= way == 0;
		else if (errno != EAGAIN && errno != EINTR)
			return -1;
	}
	while (f->from < f->to) {
		n = send(p->fd[1 - way], f->bytes + f->from, f->to - f->from, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : -1;
		f->from += (size_t)n, p->moved = now;
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
			drop_hard(p);
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
	struct timespec time;
	int64_t looked = 0;
	int is_short = 0; /* of files or memory */

	for (;;) {
		polls[0] = (struct pollfd){ is_short ? -1 : listener, POLLIN, 0 };
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
		if (poll(polls, 1 + 2 * PAIRS, is_short ? ACCEPT_AGAIN_MS : LOOK_MS) < 0 && errno != EINTR)
			poll(NULL, 0, ACCEPT_AGAIN_MS);
		is_short = 0;
		clock_gettime(CLOCK_MONOTONIC, &time);
		now = time.tv_sec * SECOND + time.tv_nsec;
		if (now - looked >= LOOK_MS / 1000 * SECOND) {
			looked = now;
			if (!keep_is_wanted(file))
				exit(0);
			for (struct pair *p = pairs; p < pairs + PAIRS; p++)
				if (p->fd[0] >= 0 && p->connecting && now - p->begun > CONNECT_S * SECOND)
					drop_hard(p);
		}
		for (int i = 0; i < PAIRS; i++)
			if (pairs[i].fd[0] >= 0 && (polls[1 + 2 * i].revents || polls[2 + 2 * i].revents))
				serve(&pairs[i], polls[1 + 2 * i].revents, polls[2 + 2 * i].revents);
		for (int i = 0; i < ACCEPT_AT_ONCE && polls[0].revents && !is_short; i++)
			is_short = take(listener, target) < 0;
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
	allow_files();
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

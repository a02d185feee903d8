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
 *
 * The kernel's queue of those not yet taken knows no addresses, so it is emptied first and cheaply: whoever is gone again costs
 * nothing more, and the others' connections to the target are begun in turns, so many at once for each address.
 *
 * SIGURG says that the target is gone without a word, as a kernel that was killed: all connections to it are reset.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../common/fail.h"
#include "../common/keep.h"
#include "../common/namespace.h"

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
/* Taken in one round: as many as the kernel's queue holds. */
#define ACCEPT_AT_ONCE 1024
/* Begun in one round for one address. */
#define CONNECT_AT_ONCE 16
#define EVENTS_AT_ONCE 256
/* How it ends when somebody else listens there. */
#define ADDRESS_TAKEN 3
#define LISTENER UINT32_MAX
#define SECOND 1000000000LL

const char program_name[] = "pk-forward";

/* One direction: what was read from one socket and not yet written to the other. */
struct flow {
	char *bytes;
	size_t from, to;
	int ended; /* 1: its source has closed; 2: and the other side was told */
};

/* An address that has connections. */
struct client {
	in_addr_t address;
	unsigned count;
	unsigned round, begun; /* so many were begun in that round */
	struct client *next; /* of the same hash, or free */
};

struct pair {
	int fd[2]; /* client, target; -1: the slot is free, or there is no target yet */
	uint32_t watched[2]; /* events; 0: the poller does not know it */
	int connecting, spoke; /* spoke: the client sent something */
	struct client *client;
	int64_t begun, moved; /* when something last moved */
	struct flow flow[2]; /* [0] client to target */
};

static struct pair pairs[PAIRS], *unused[PAIRS];
/* Those without a target; who left may still be in it, but none twice. */
static struct pair *waiting[PAIRS];
static char is_listed[PAIRS];
static size_t unused_count, waiting_count;
static char *memory;
/* By a hash that nobody can guess. */
static struct client clients[PAIRS], *hashed[PAIRS], *free_client;
static uint64_t hash_key;
static unsigned round_number;
static int poller;
static volatile sig_atomic_t is_target_gone;
static int64_t now; /* nanoseconds; every new pair has one of its own */

static void allow_files(void)
{
	struct rlimit limit;
	rlim_t wanted = 2 * PAIRS + OTHER_FILES;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		fail("limit of open files");
	if (limit.rlim_cur >= wanted)
		return;
	limit.rlim_cur = wanted;
	if (limit.rlim_max < wanted)
		limit.rlim_max = wanted;
	if (setrlimit(RLIMIT_NOFILE, &limit) == 0)
		return;
	getrlimit(RLIMIT_NOFILE, &limit);
	refuse("it needs %d open files, and the limit is %llu: raise it (ulimit -Hn, LimitNOFILE=)", 2 * PAIRS + OTHER_FILES,
		(unsigned long long)limit.rlim_max);
}

static void forget_all(void)
{
	unused_count = waiting_count = 0;
	free_client = NULL;
	memset(hashed, 0, sizeof hashed);
	memset(is_listed, 0, sizeof is_listed);
	for (int i = PAIRS - 1; i >= 0; i--) {
		pairs[i].fd[0] = pairs[i].fd[1] = -1;
		unused[unused_count++] = &pairs[i];
		clients[i] = (struct client){ .next = free_client };
		free_client = &clients[i];
	}
}

/* Where the client of an address is, or NULL; where it would be put. */
static struct client **client_of(in_addr_t address)
{
	struct client **at = &hashed[(address * (hash_key | 1) + hash_key) >> 32 & (PAIRS - 1)];

	while (*at != NULL && (*at)->address != address)
		at = &(*at)->next;
	return at;
}

static void drop(struct pair *p)
{
	struct client *client = p->client, **at;

	for (int side = 0; side < 2; side++) {
		if (p->fd[side] >= 0)
			close(p->fd[side]);
		p->fd[side] = -1;
	}
	unused[unused_count++] = p;
	if (--client->count > 0)
		return;
	at = client_of(client->address);
	*at = client->next;
	client->next = free_client;
	free_client = client;
}

/* Its peer sees a reset, as it would without us. */
static void hang_up(int fd)
{
	struct linger hard = { 1, 0 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
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

static unsigned count_of(const struct pair *p)
{
	return p->client->count;
}

/* Makes a place for one more connection of an address that has so many. Negative: it has to go itself. */
static int make_room(unsigned own)
{
	struct pair *p, *victim = NULL;
	unsigned most = 0;
	int is_other, is_first;

	if (unused_count > 0)
		return 0;
	for (struct client *c = clients; c < clients + PAIRS; c++)
		if (c->count > most)
			most = c->count;
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
		return -1;
	drop_hard(victim);
	return 0;
}

static void set_number(int fd, int level, int option, int value)
{
	setsockopt(fd, level, option, &value, sizeof value);
}

/* Asks for the events that a pair can do something with. Negative: it cannot be. */
static int watch(struct pair *p)
{
	/* Of a client that waits for the target only that it is gone, which needs no asking. */
	uint32_t want[2] = { p->connecting ? EPOLLERR : 0, p->connecting ? EPOLLOUT : 0 };

	for (int way = 0; way < 2 && !p->connecting; way++) {
		if (p->flow[way].to > 0)
			want[1 - way] |= EPOLLOUT;
		else if (!p->flow[way].ended)
			want[way] |= EPOLLIN;
	}
	for (int side = 0; side < 2; side++) {
		struct epoll_event event = { .events = want[side], .data.u32 = (uint32_t)(p - pairs) * 2 + (uint32_t)side };
		/* One that nothing is wanted of is taken out: its end would be told again and again. */
		int act = want[side] == 0 ? EPOLL_CTL_DEL : p->watched[side] == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;

		if (want[side] == p->watched[side])
			continue;
		if (epoll_ctl(poller, act, p->fd[side], &event) != 0)
			return -1;
		p->watched[side] = want[side];
	}
	return 0;
}

/* Whether its peer has reset it, or it could not be made. */
static int has_failed(int fd)
{
	int error = 0;
	socklen_t length = sizeof error;

	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0 || error;
}

/* The pair of a new client, which has no target yet; NULL when there is no place for it. */
static struct pair *seat(int fd, in_addr_t address)
{
	struct client **at = client_of(address), *client;
	struct pair *p;

	if (make_room(*at == NULL ? 0 : (*at)->count) < 0)
		return NULL;
	/* Whoever made room may have been the last of its address. */
	at = client_of(address);
	if (*at == NULL) {
		client = free_client;
		free_client = client->next;
		*client = (struct client){ .address = address };
		*at = client;
	}
	(*at)->count++;
	now++;
	p = unused[--unused_count];
	*p = (struct pair){ .fd = { fd, -1 }, .client = *at, .begun = now, .moved = now };
	for (int i = 0; i < 2; i++)
		p->flow[i] = (struct flow){ .bytes = memory + ((size_t)(p - pairs) * 2 + (size_t)i) * BUFFER_BYTES };
	if (!is_listed[p - pairs])
		waiting[waiting_count++] = p;
	is_listed[p - pairs] = 1;
	return p;
}

/* Takes one client. 1: there may be more; 0: there is none; negative: there was no file or memory for it. */
static int take(int listener)
{
	struct sockaddr_in from = { 0 };
	socklen_t size = sizeof from;
	int fd = accept4(listener, (struct sockaddr *)&from, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
		return errno == EAGAIN ? 0 : errno == ECONNABORTED || errno == EINTR || errno == EPROTO ? 1 : -1;
	/* Before anybody makes room for it. */
	if (has_failed(fd)) {
		close(fd);
	} else if (seat(fd, from.sin_addr.s_addr) == NULL) {
		hang_up(fd);
		close(fd);
	}
	return 1;
}

/* Begins the connection to the target. Negative: the pair is over. */
static int begin(struct pair *p, const struct sockaddr_in *target)
{
	if (has_failed(p->fd[0]))
		return -1;
	p->fd[1] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (p->fd[1] < 0 || (connect(p->fd[1], (const struct sockaddr *)target, sizeof *target) != 0 && errno != EINPROGRESS))
		return -1;
	for (int i = 0; i < 2; i++) {
		set_number(p->fd[i], IPPROTO_TCP, TCP_NODELAY, 1);
		set_number(p->fd[i], SOL_SOCKET, SO_KEEPALIVE, 1);
		set_number(p->fd[i], IPPROTO_TCP, TCP_KEEPIDLE, KEEP_IDLE_S);
		set_number(p->fd[i], IPPROTO_TCP, TCP_KEEPINTVL, KEEP_INTERVAL_S);
		set_number(p->fd[i], IPPROTO_TCP, TCP_KEEPCNT, KEEP_COUNT);
	}
	p->connecting = 1;
	return watch(p);
}

/* Begins what waits, no more of one address than its share; the rest keeps waiting. */
static void begin_some(const struct sockaddr_in *target)
{
	size_t kept = 0;

	round_number++;
	for (size_t i = 0; i < waiting_count; i++) {
		struct pair *p = waiting[i];
		struct client *client = p->client;

		if (p->fd[0] >= 0 && client->round == round_number && client->begun == CONNECT_AT_ONCE) {
			waiting[kept++] = p;
			continue;
		}
		is_listed[p - pairs] = 0;
		if (p->fd[0] < 0)
			continue;
		client->begun = client->round == round_number ? client->begun + 1 : 1;
		client->round = round_number;
		if (begin(p, target) < 0)
			drop_hard(p);
	}
	waiting_count = kept;
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

static void serve(struct pair *p, uint32_t client, uint32_t target)
{
	if (p->connecting) {
		if (client & (EPOLLHUP | EPOLLERR)) {
			drop(p);
			return;
		}
		if (!target)
			return;
		if (has_failed(p->fd[1])) {
			drop_hard(p);
			return;
		}
		p->connecting = 0;
	}
	if (move(p, 0) < 0 || move(p, 1) < 0)
		drop(p);
	else if (watch(p) < 0)
		drop_hard(p);
}

static void on_target_gone(int number)
{
	(void)number;
	is_target_gone = 1;
}

static void reset_all(void)
{
	is_target_gone = 0;
	for (struct pair *p = pairs; p < pairs + PAIRS; p++)
		if (p->fd[0] >= 0)
			drop_hard(p);
}

/* Every LOOK_MS. */
static void look(const char *file)
{
	if (!keep_is_wanted(file))
		exit(0);
	for (struct pair *p = pairs; p < pairs + PAIRS; p++)
		if (p->fd[0] >= 0 && p->connecting && now - p->begun > CONNECT_S * SECOND)
			drop_hard(p);
}

static _Noreturn void loop(int listener, const struct sockaddr_in *target, const char *file)
{
	static struct epoll_event events[EVENTS_AT_ONCE];
	struct timespec time;
	int64_t looked = 0;
	int more = 1; /* there may be clients to take; negative: and a lack of files or memory */
	sigset_t none;

	sigemptyset(&none);

	for (;;) {
		int wait = waiting_count > 0 || more > 0 ? 0 : more < 0 ? ACCEPT_AGAIN_MS : LOOK_MS;
		int n = epoll_pwait(poller, events, EVENTS_AT_ONCE, wait, &none);

		clock_gettime(CLOCK_MONOTONIC, &time);
		now = time.tv_sec * SECOND + time.tv_nsec;
		if (now - looked >= LOOK_MS / 1000 * SECOND) {
			looked = now;
			look(file);
		}
		if (is_target_gone)
			reset_all();
		for (int i = 0; i < n; i++) {
			uint32_t at = events[i].data.u32, told = events[i].events;

			if (at == LISTENER)
				more = 1;
			/* The other side's event may have ended it; nobody has its place before all are served. */
			else if (pairs[at / 2].fd[0] >= 0)
				serve(&pairs[at / 2], at % 2 ? 0 : told, at % 2 ? told : 0);
		}
		for (int i = 0; i < ACCEPT_AT_ONCE && (more > 0 || i == 0) && more != 0; i++)
			more = take(listener);
		begin_some(target);
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
	struct epoll_event arrival = { .events = EPOLLIN | EPOLLET, .data.u32 = LISTENER };
	struct sigaction gone = { .sa_handler = on_target_gone };
	sigset_t told;
	int listener, one = 1;

	errno = EINVAL;
	if (argc != 7 || address(argv[2], argv[3], &here) || address(argv[5], argv[6], &target))
		fail("usage: pk-forward FILE LISTEN_ADDRESS LISTEN_PORT NAMESPACE TARGET_ADDRESS TARGET_PORT");
	allow_files();
	memory = malloc((size_t)PAIRS * 2 * BUFFER_BYTES); /* touched only as far as connections use it */
	listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (memory == NULL || listener < 0)
		fail("socket");
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(listener, (struct sockaddr *)&here, sizeof here) != 0 || listen(listener, 1024) != 0) {
		fail_status = errno == EADDRINUSE ? ADDRESS_TAKEN : 1;
		fail("listen");
	}
	/* The listener stays where it was made; every later socket is in there. */
	if (namespace_enter(argv[4]) != 0)
		fail("%s", argv[4]);
	forget_all();
	if (getrandom(&hash_key, sizeof hash_key, 0) != sizeof hash_key)
		fail("random");
	/* Told once for each that comes: until then there is none. */
	poller = epoll_create1(EPOLL_CLOEXEC);
	if (poller < 0 || epoll_ctl(poller, EPOLL_CTL_ADD, listener, &arrival) != 0)
		fail("epoll");
	/* Taken while it waits, and at no other time. */
	sigemptyset(&told);
	sigaddset(&told, SIGURG);
	if (sigprocmask(SIG_BLOCK, &told, NULL) != 0 || sigaction(SIGURG, &gone, NULL) != 0)
		fail("signals");
	if (keep_begin(argv[1], -1) != 0)
		fail("%s", argv[1]);
	loop(listener, &target, argv[1]);
}

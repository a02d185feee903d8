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
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/resource.h>

#include "../common/fail.h"
#include "../common/keep.h"
#include "../common/namespace.h"
#include "loop.h"
#include "pairs.h"
#include "transfer.h"

/* Besides those of connections. */
#define OTHER_FILES 64

/* How it ends when somebody else listens there. */
#define ADDRESS_TAKEN 3

const char program_name[] = "pk-forward";

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

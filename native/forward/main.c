/*
 * pk-forward FILE LISTEN_ADDRESS LISTEN_PORT NAMESPACE TARGET_ADDRESS TARGET_PORT tcp|udp[:PART/PARTS]
 *
 * Takes TCP connections of the host, or datagrams, and joins each client with a target in a network namespace. Says `ready` and detaches from
 * its standard streams; FILE then says `PID START_TIME`. Ends by SIGTERM, and when FILE is gone or names another process.
 *
 * So many connections at once (places are counted for each origin.h: an IPv4 address, or a /64 of IPv6). One more takes the place of another:
 * - of the address that has the most, where its own has fewer by two;
 * - else, where its own has none, so that all have one, of the longest silent;
 * - else of one that never said anything or is long silent, or it is reset.
 * So no address closes the port to others, no silent clients close it to anybody, and an address without a connection always
 * gets one. Against more than a thousand addresses it lasts for as long as it is not the longest silent.
 *
 * The kernel's queue of those not yet taken knows no addresses, so it is emptied first and cheaply: whoever is gone again costs
 * nothing more, and the others' connections to the target are begun in turns, so many at once for each address.
 *
 * Of UDP there are as many flows, each with a socket towards the target, for 30 s after the last datagram, or 180 s once it is known: its
 * client went on after an answer, which who forges addresses does not see. One more takes the place of another:
 * - of the origin that has the most, where its own has fewer by two;
 * - else of one of its own; else, where it has none, of any;
 * - strangers before known ones, and the longest silent first. While more than half are strangers, of those alone: addresses that are
 *   forged, however many, take no place of one that is known.
 * PART of PARTS says which it is, from 0 on, of those that lead datagrams to the same target.
 * A place is all that can be taken: the kernel's queue of datagrams not yet read is one for all, and is emptied as fast as can be.
 *
 * SIGURG says that the target is gone without a word, as a kernel that was killed: all connections to it are reset, and flows forgotten.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#include "../common/fail.h"
#include "../common/keep.h"
#include "../common/namespace.h"
#include "datagrams.h"
#include "endings.h"
#include "flows.h"
#include "loop.h"
#include "pairs.h"
#include "ports.h"
#include "pressure.h"
#include "transfer.h"

/* Besides those of connections. */
#define OTHER_FILES 64

/* How it ends when somebody else listens there. */
#define ADDRESS_TAKEN 3

const char program_name[] = "pk-forward";

static void allow_files(rlim_t wanted)
{
	struct rlimit limit;

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
	refuse("it needs %llu open files, and the limit is %llu: raise it (ulimit -Hn, LimitNOFILE=)", (unsigned long long)wanted,
		(unsigned long long)limit.rlim_max);
}

static unsigned port_number(const char *text)
{
	char *end;
	unsigned long number = strtoul(text, &end, 10);

	return *text < '0' || *text > '9' || *end != 0 || number > 65535 ? 0 : (unsigned)number;
}

/* Where to listen, IPv4 or IPv6. Returns its length; 0 when it is no address. */
static socklen_t listen_address(const char *text, const char *port, struct sockaddr_storage *at)
{
	struct sockaddr_in *four = (struct sockaddr_in *)at;
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)at;
	in_port_t number = htons((uint16_t)port_number(port));

	if (number == 0)
		return 0;
	if (inet_pton(AF_INET, text, &four->sin_addr) == 1) {
		at->ss_family = AF_INET, four->sin_port = number;
		return sizeof *four;
	}
	if (inet_pton(AF_INET6, text, &six->sin6_addr) != 1)
		return 0;
	at->ss_family = AF_INET6, six->sin6_port = number;
	return sizeof *six;
}

static int listen_at(const struct sockaddr_storage *here, socklen_t length, int is_datagram)
{
	int type = is_datagram ? SOCK_DGRAM : SOCK_STREAM, one = 1;
	int listener = socket(here->ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (listener < 0)
		fail("socket");
	/* Of UDP it would let others listen there too. */
	if (!is_datagram)
		setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	/* [::] is all of IPv6, and no more. */
	if (here->ss_family == AF_INET6 && setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one) != 0)
		fail("socket");
	if (is_datagram)
		prepare_datagrams(listener, here->ss_family);
	if (bind(listener, (const struct sockaddr *)here, length) != 0 || (!is_datagram && listen(listener, 1024) != 0)) {
		fail_status = errno == EADDRINUSE ? ADDRESS_TAKEN : 1;
		fail("listen");
	}
	return listener;
}

/* 1: datagrams; 0: connections; negative: it is neither. */
static int parse_protocol(const char *text)
{
	char *end;
	unsigned long part;

	if (strcmp(text, "tcp") == 0)
		return 0;
	if (strcmp(text, "udp") == 0)
		return 1;
	if (strncmp(text, "udp:", 4) != 0)
		return -1;
	part = strtoul(text + 4, &end, 10);
	return *end != '/' || use_part(part, strtoul(end + 1, NULL, 10)) != 0 ? -1 : 1;
}

int main(int argc, char **argv)
{
	struct sockaddr_storage here = { 0 };
	struct sockaddr_in target = { .sin_family = AF_INET };
	struct epoll_event arrival = { .events = EPOLLIN | EPOLLET, .data.u32 = LISTENER };
	struct sigaction gone = { .sa_handler = on_target_gone };
	sigset_t told;
	socklen_t length;
	int listener, is_datagram;

	errno = EINVAL;
	if (argc != 8 || (length = listen_address(argv[2], argv[3], &here)) == 0 || inet_pton(AF_INET, argv[5], &target.sin_addr) != 1 ||
	    (target.sin_port = htons((uint16_t)port_number(argv[6]))) == 0 || (is_datagram = parse_protocol(argv[7])) < 0)
		fail("usage: pk-forward FILE LISTEN_ADDRESS LISTEN_PORT NAMESPACE TARGET_ADDRESS TARGET_PORT tcp|udp[:PART/PARTS]");
	allow_files(is_datagram ? FLOWS + OTHER_FILES : 2 * PAIRS + ENDINGS + OTHER_FILES);
	listener = listen_at(&here, length, is_datagram);
	learn_pressure();
	/* The listener stays where it was made; every later socket is in there. */
	if (namespace_enter(argv[4]) != 0)
		fail("%s", argv[4]);
	/* Taken while it waits, and at no other time. */
	sigemptyset(&told);
	sigaddset(&told, SIGURG);
	if (sigprocmask(SIG_BLOCK, &told, NULL) != 0 || sigaction(SIGURG, &gone, NULL) != 0)
		fail("signals");
	if (is_datagram) {
		forget_flows();
		if (keep_begin(argv[1], -1) != 0)
			fail("%s", argv[1]);
		forward_datagrams(listener, &target, argv[1]);
	}
	forget_all();
	/* Told once for each that comes: until then there is none. */
	poller = epoll_create1(EPOLL_CLOEXEC);
	if (poller < 0 || epoll_ctl(poller, EPOLL_CTL_ADD, listener, &arrival) != 0)
		fail("epoll");
	if (keep_begin(argv[1], -1) != 0)
		fail("%s", argv[1]);
	loop(listener, &target, argv[1]);
}

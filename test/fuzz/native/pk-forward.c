/* pk-forward's pairs, with a client and a target that do anything, and its table of flows. */
#include "harness.h"

#include "kit.h"
#include <sched.h>

#include "../../../native/forward/arrivals.c"
#include "../../../native/forward/clients.c"
#include "../../../native/forward/datagrams.c"
#include "../../../native/forward/endings.c"
#include "../../../native/forward/flows.c"
#include "../../../native/forward/loop.c"
#include "../../../native/forward/main.c"
#include "../../../native/forward/origin.c"
#include "../../../native/forward/pairs.c"
#include "../../../native/forward/ports.c"
#include "../../../native/forward/pressure.c"
#include "../../../native/forward/room.c"
#include "../../../native/forward/transfer.c"

static void link_pair(int ends[2])
{
	int size = 2048;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
		abort();
	/* Full soon, so that waiting for room is seen. */
	for (int i = 0; i < 2; i++)
		setsockopt(ends[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
}

/* One byte an act: which side, what, how much. Bytes of each direction count up, and must come in order. */
static void transfer(const uint8_t *data, size_t size)
{
	struct pair *p;
	int ends[2][2];
	uint8_t sent[2] = { 0, 0 }, came[2] = { 0, 0 }, bytes[4096];

	forget_all();
	for (int side = 0; side < 2; side++)
		link_pair(ends[side]);
	p = seat(ends[0][1], htonl(INADDR_LOOPBACK));
	p->fd[1] = ends[1][1];
	p->connecting = 1;
	must(watch(p) == 0, "a pair is watched");
	for (size_t at = 0; at < size; at++) {
		int side = data[at] & 1;
		ssize_t n = 1 + (data[at] >> 4) * 273;

		switch (data[at] >> 1 & 3) {
		case 0:
			for (ssize_t i = 0; i < n; i++)
				bytes[i] = (uint8_t)(sent[side] + i);
			n = send(ends[side][0], bytes, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL);
			sent[side] = (uint8_t)(sent[side] + (n > 0 ? n : 0));
			break;
		case 1:
			n = recv(ends[side][0], bytes, (size_t)n, MSG_DONTWAIT);
			for (ssize_t i = 0; i < n; i++)
				must(bytes[i] == came[side]++, "bytes come in the order they were sent");
			break;
		case 2: if (data[at] > 240) shutdown(ends[side][0], SHUT_WR); break;
		default: if (data[at] > 240) shutdown(ends[side][0], SHUT_RDWR);
		}
		if (p->fd[0] >= 0)
			serve(p, side ? 0 : EPOLLIN, side || p->connecting ? EPOLLOUT : 0);
	}
	if (p->fd[0] >= 0)
		drop(p);
	close(ends[0][0]), close(ends[1][0]);
}

/* Whom datagrams come from: `many` tells origins apart, `port` flows of one. */
static struct sockaddr_storage sender(unsigned many, unsigned port)
{
	struct sockaddr_storage from = { 0 };
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)&from;

	*six = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port) };
	six->sin6_addr.s6_addr[0] = 0xfd;
	memcpy(six->sin6_addr.s6_addr + 1, &many, sizeof many);
	return from;
}

/* What holds whatever came: every flow is found, and places are counted right. */
static void check_flows(void)
{
	unsigned used = 0, of_client = 0, counted = 0;

	for (struct datagram_flow *f = flows; f < flows + FLOWS; f++) {
		if (f->fd < 0)
			continue;
		used++;
		must(find_flow(&f->from) == f, "a flow is found by its client");
		must(f->client->count > 0 && f->client->origin == origin_of(&f->from), "a flow counts for its client");
	}
	for (struct datagram_flow *f = free_flow; f != NULL; f = f->next)
		counted++;
	for (struct client *c = clients; c < clients + PLACES; c++)
		of_client += c->count;
	must(used + counted == FLOWS, "no place is lost");
	must(of_client == used, "places are counted right");
}

/* One byte an act: flows of one client, of as many, what is known of them, and time. No descriptor is that large. */
static void flow_table(const uint8_t *data, size_t size)
{
	int64_t at = 0;
	unsigned next = 0;
	int fd = 1 << 20;

	forget_flows();
	for (size_t i = 0; i < size && i < 40; i++) {
		unsigned what = data[i] & 63;

		for (unsigned n = 0; n < 64; n++) {
			struct sockaddr_storage from = data[i] >> 6 == 0 ? sender(what, next++) : sender(next++ << 8, 1);
			struct datagram_flow *f = find_flow(&from);

			if (data[i] >> 6 < 2 && f == NULL)
				open_flow(&from, sizeof(struct sockaddr_in6), fd++, ++at);
		}
		if (data[i] >> 6 == 2)
			for (unsigned n = 0; n < FLOWS; n += what + 1)
				flows[n].answered = 1, flows[n].said = flows[n].fd < 0 ? 0 : 2;
		if (data[i] >> 6 == 3)
			close_silent_flows(at += what * SECOND);
	}
	check_flows();
}

/* What came to a flow's socket before that knew its target may be anybody's. */
static void early_answer(void)
{
	struct sockaddr_in target = { .sin_family = AF_INET, .sin_port = 1 };
	struct datagram_flow f = { 0 };
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0 || send(ends[0], "x", 1, 0) != 1)
		abort();
	f.fd = ends[1];
	answer(-1, &f, &target);
	must(!f.answered, "what others than the target send is no answer");
	close(ends[0]), close(ends[1]);
}

/* Of a million pages a 64th is 64 MB. */
static void who_yields(void)
{
	pressure_pages = 1000000;
	must(!has_to_yield(700000, INT64_MAX), "nobody makes room while there is enough");
	must(!has_to_yield(800000, 60000000), "who holds little does not make room for others");
	must(has_to_yield(800000, 70000000), "who holds much makes room in time");
	must(has_to_yield(1000001, 0), "all make room when there is none left");
	pressure_pages = 0;
}

static void one(const uint8_t *data, size_t size)
{
	struct sockaddr_storage at = { 0 };
	char text[64] = "", *port;

	if (poller == 0) {
		poller = epoll_create1(EPOLL_CLOEXEC);
		early_answer();
		who_yields();
	}
	transfer(data, size);
	if (size > 0 && data[0] % 32 == 5)
		flow_table(data + 1, size - 1);
	memcpy(text, data, size < sizeof text ? size : sizeof text - 1);
	port = strchr(text, ':');
	if (port != NULL) {
		*port++ = 0;
		(void)listen_address(text, port, &at);
	}
}

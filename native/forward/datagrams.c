/* UDP: datagrams of clients go to the target from a socket of each flow, and what comes back on it goes to its client. */
#define _GNU_SOURCE
#include "datagrams.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "../common/fail.h"
#include "../common/keep.h"
#include "flows.h"
#include "loop.h"
#include "ports.h"

#define SECOND 1000000000LL
#define DATAGRAM_BYTES 65536
/* Taken in one round: of clients together, and of the target for one flow. */
#define TAKE_AT_ONCE 512
#define ANSWERS_AT_ONCE 16
#define EVENTS_AT_ONCE 256
/* What waits while this process has no turn; the kernel's own bound may be lower. */
#define QUEUE_BYTES (4 << 20)

static char bytes[DATAGRAM_BYTES];
static int64_t moment; /* nanoseconds */

void prepare_datagrams(int listener, int family)
{
	int one = 1, queue = QUEUE_BYTES;

	if (setsockopt(listener, SOL_SOCKET, SO_RCVBUFFORCE, &queue, sizeof queue) != 0)
		setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &queue, sizeof queue);
	if (family == AF_INET ? setsockopt(listener, IPPROTO_IP, IP_PKTINFO, &one, sizeof one)
			      : setsockopt(listener, IPPROTO_IPV6, IPV6_RECVPKTINFO, &one, sizeof one))
		fail("socket");
}

/* From which address answers have to come: what was spoken to, unless many are by it. */
static void note_address(struct spoken_to *to, struct msghdr *message)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(message);

	to->length = 0;
	if (c == NULL || c->cmsg_len > sizeof to->bytes)
		return;
	if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
		((struct in_pktinfo *)CMSG_DATA(c))->ipi_ifindex = 0;
	} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
		struct in6_pktinfo *info = (struct in6_pktinfo *)CMSG_DATA(c);

		if (IN6_IS_ADDR_MULTICAST(&info->ipi6_addr))
			return;
		info->ipi6_ifindex = 0;
	} else {
		return;
	}
	to->length = CMSG_ALIGN(c->cmsg_len);
	memcpy(to->bytes, c, c->cmsg_len);
}

/* The flow of a client that has none yet; NULL when there is no file or memory for it. */
static struct datagram_flow *begin_flow(const struct sockaddr_storage *from, socklen_t length, const struct sockaddr_in *target, int poller)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct epoll_event event = { .events = EPOLLIN };
	struct datagram_flow *f;
	uint16_t port;

	if (fd < 0)
		return NULL;
	port = bind_to_port(fd);
	if (port == 0 || connect(fd, (const struct sockaddr *)target, sizeof *target) != 0) {
		close(fd);
		give_port_back(port);
		return NULL;
	}
	f = open_flow(from, length, fd, moment);
	f->port = port;
	event.data.u32 = (uint32_t)(f - flows);
	if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) == 0)
		return f;
	close_flow(f);
	return NULL;
}

/* Takes one datagram of a client. 0: there is none. */
static int take_datagram(int listener, const struct sockaddr_in *target, int poller)
{
	struct sockaddr_storage from;
	struct spoken_to to;
	struct iovec part = { bytes, sizeof bytes };
	struct msghdr message = { .msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &part, .msg_iovlen = 1,
				  .msg_control = to.bytes, .msg_controllen = sizeof to.bytes };
	ssize_t n = recvmsg(listener, &message, MSG_DONTWAIT);
	struct datagram_flow *f;

	if (n < 0)
		return errno != EAGAIN;
	if (message.msg_flags & MSG_TRUNC)
		return 1;
	f = find_flow(&from);
	if (f == NULL && (f = begin_flow(&from, message.msg_namelen, target, poller)) == NULL)
		return 1;
	note_address(&f->to, &message);
	f->moved = moment;
	if (f->said < 2 && (f->answered || f->said == 0))
		f->said++;
	/* The first may only be told that an earlier one was refused. */
	for (int i = 0; i < 2 && send(f->fd, bytes, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno == ECONNREFUSED; i++)
		;
	return 1;
}

/* Before a socket knew its target anybody in the namespace could send to it. */
static int is_of(const struct sockaddr_in *from, const struct sockaddr_in *target)
{
	return from->sin_addr.s_addr == target->sin_addr.s_addr && from->sin_port == target->sin_port;
}

/* Gives a client what the target answered. */
static void answer(int listener, struct datagram_flow *f, const struct sockaddr_in *target)
{
	for (int i = 0; i < ANSWERS_AT_ONCE; i++) {
		struct sockaddr_in sender = { 0 };
		socklen_t size = sizeof sender;
		ssize_t n = recvfrom(f->fd, bytes, sizeof bytes, MSG_DONTWAIT, (struct sockaddr *)&sender, &size);
		struct iovec part = { bytes, n < 0 ? 0 : (size_t)n };
		struct msghdr message = { .msg_name = &f->from, .msg_namelen = f->from_length, .msg_iov = &part, .msg_iovlen = 1,
					  .msg_control = f->to.length ? f->to.bytes : NULL, .msg_controllen = f->to.length };

		if (n < 0 && errno == EAGAIN)
			return;
		/* Nobody listens there. */
		if (n < 0 || !is_of(&sender, target))
			continue;
		f->answered = 1, f->moved = moment;
		/* What the client's way has no room for is lost, as it may be anywhere. */
		(void)!sendmsg(listener, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	}
}

_Noreturn void forward_datagrams(int listener, const struct sockaddr_in *target, const char *file)
{
	static struct epoll_event events[EVENTS_AT_ONCE];
	struct epoll_event arrival = { .events = EPOLLIN, .data.u32 = LISTENER };
	struct timespec time;
	int64_t looked = 0;
	sigset_t none;
	int poller = epoll_create1(EPOLL_CLOEXEC);

	if (poller < 0 || epoll_ctl(poller, EPOLL_CTL_ADD, listener, &arrival) != 0)
		fail("epoll");
	sigemptyset(&none);
	for (;;) {
		int n = epoll_pwait(poller, events, EVENTS_AT_ONCE, LOOK_MS, &none), has_arrivals = 0;

		clock_gettime(CLOCK_MONOTONIC, &time);
		moment = time.tv_sec * SECOND + time.tv_nsec;
		if (moment - looked >= LOOK_MS / 1000 * SECOND) {
			looked = moment;
			if (!keep_is_wanted(file))
				exit(0);
			close_silent_flows(moment);
		}
		if (take_target_gone())
			for (struct datagram_flow *f = flows; f < flows + FLOWS; f++)
				if (f->fd >= 0)
					close_flow(f);
		/* Answers first: a new flow may take the place of one that has its event here. */
		for (int i = 0; i < n; i++) {
			if (events[i].data.u32 == LISTENER)
				has_arrivals = 1;
			else if (flows[events[i].data.u32].fd >= 0)
				answer(listener, &flows[events[i].data.u32], target);
		}
		for (int i = 0; has_arrivals && i < TAKE_AT_ONCE && take_datagram(listener, target, poller); i++)
			;
	}
}

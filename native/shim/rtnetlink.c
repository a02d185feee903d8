/* The few requests to rtnetlink that no ioctl can make. */
#include "rtnetlink.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

/* From linux/netlink.h, linux/rtnetlink.h and linux/if_link.h, which musl lacks. */
#define RTNETLINK_ROUTE 0
#define RTNETLINK_ERROR 2
#define RTNETLINK_NEW_LINK 16
#define RTNETLINK_REQUEST_ACKNOWLEDGED 5
#define RTNETLINK_CREATE_EXCLUSIVELY 0x600
#define LINK_NAME 3
#define LINK_QUEUE_LENGTH 13
#define LINK_INFO 18
#define LINK_NAMESPACE_FD 28
#define LINK_INFO_KIND 1
#define LINK_INFO_DATA 2
#define BRIDGE_AGEING_TIME 4
#define BRIDGE_MULTICAST_SNOOPING 23

/* From linux/pkt_sched.h and linux/pkt_cls.h: who looks at what comes in or goes out, and in place of a queue. */
#define RTNETLINK_NEW_QUEUE 36
#define RTNETLINK_NEW_FILTER 44
#define RTNETLINK_CREATE 0x400
#define TRAFFIC_KIND 1
#define TRAFFIC_OPTIONS 2
#define TRAFFIC_LOOKERS_ON 0xfffffff1u
#define TRAFFIC_LOOKERS_ON_HANDLE 0xffff0000u
#define TRAFFIC_INCOMING 0xfffffff2u
/* The first of them, for all protocols: 3, in the order of the network. */
#define TRAFFIC_FIRST_OF_ALL 0x00010300u
#define PROGRAM_FD 6
#define PROGRAM_NAME 7
#define PROGRAM_FLAGS 8
#define PROGRAM_DECIDES 1

struct rtnetlink_request {
	struct {
		uint32_t length;
		uint16_t type, flags;
		uint32_t sequence, port;
	} header;
	struct {
		uint8_t family, padding;
		uint16_t type;
		int32_t index;
		uint32_t flags, change;
	} link;
	char attributes[256];
};

int rtnetlink_open(void)
{
	return socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, RTNETLINK_ROUTE);
}

/* Every attribute begins at a multiple of four. Returns where it begins; one that holds others has no bytes of its own. */
static size_t rtnetlink_put(struct rtnetlink_request *request, uint16_t type, const void *bytes, uint16_t length)
{
	size_t at = request->header.length;
	uint16_t head[2] = {(uint16_t)(sizeof head + length), type};

	memcpy((char *)request + at, head, sizeof head);
	if (length > 0)
		memcpy((char *)request + at + sizeof head, bytes, length);
	request->header.length += (uint32_t)((sizeof head + length + 3) & ~3u);
	return at;
}

/* What was put since `at` is in the attribute that begins there. */
static void rtnetlink_nest(struct rtnetlink_request *request, size_t at)
{
	uint16_t length = (uint16_t)(request->header.length - at);

	memcpy((char *)request + at, &length, sizeof length);
}

/* Returns 0, or -1. */
static int rtnetlink_ask(int socket, const struct rtnetlink_request *request)
{
	struct {
		uint32_t length;
		uint16_t type, flags;
		uint32_t sequence, port;
		int32_t error;
		char rest[512];
	} answer;
	ssize_t n;

	if (send(socket, request, request->header.length, 0) < 0)
		return -1;
	while ((n = recv(socket, &answer, sizeof answer, 0)) < 0 && errno == EINTR)
		;
	if (n < 0)
		return -1;
	errno = n < 20 || answer.type != RTNETLINK_ERROR ? EPROTO : -answer.error;
	return errno == 0 ? 0 : -1;
}

static struct rtnetlink_request rtnetlink_link(uint16_t flags, int32_t index)
{
	struct rtnetlink_request request = {
		.header = {.length = offsetof(struct rtnetlink_request, attributes), .type = RTNETLINK_NEW_LINK},
		.link = {.index = index},
	};

	request.header.flags = RTNETLINK_REQUEST_ACKNOWLEDGED | flags;
	return request;
}

/* Moves an interface from the socket's network namespace to another. */
int rtnetlink_move(int socket, unsigned index, int namespace)
{
	struct rtnetlink_request request = rtnetlink_link(0, (int32_t)index);

	rtnetlink_put(&request, LINK_NAMESPACE_FD, &namespace, sizeof(int32_t));
	return rtnetlink_ask(socket, &request);
}

/* How many frames may wait in an interface. */
int rtnetlink_limit_queue(int socket, unsigned index, uint32_t frames)
{
	struct rtnetlink_request request = rtnetlink_link(0, (int32_t)index);

	rtnetlink_put(&request, LINK_QUEUE_LENGTH, &frames, sizeof frames);
	return rtnetlink_ask(socket, &request);
}

/* A bridge that neither learns where an address is nor follows who is in which group. */
int rtnetlink_add_bridge(int socket, const char *name)
{
	struct rtnetlink_request request = rtnetlink_link(RTNETLINK_CREATE_EXCLUSIVELY, 0);
	uint32_t at_once = 0;
	uint8_t off = 0;
	size_t info, data;

	rtnetlink_put(&request, LINK_NAME, name, (uint16_t)(strlen(name) + 1));
	info = rtnetlink_put(&request, LINK_INFO, NULL, 0);
	rtnetlink_put(&request, LINK_INFO_KIND, "bridge", sizeof "bridge");
	data = rtnetlink_put(&request, LINK_INFO_DATA, NULL, 0);
	rtnetlink_put(&request, BRIDGE_AGEING_TIME, &at_once, sizeof at_once);
	rtnetlink_put(&request, BRIDGE_MULTICAST_SNOOPING, &off, sizeof off);
	rtnetlink_nest(&request, data);
	rtnetlink_nest(&request, info);
	return rtnetlink_ask(socket, &request);
}

/* As one for a link, but for a word more in front of what is put. */
static struct rtnetlink_request rtnetlink_traffic(uint16_t type, uint16_t flags, unsigned index, const uint32_t words[3])
{
	struct rtnetlink_request request = rtnetlink_link(flags, (int32_t)index);

	request.header.type = type;
	request.link.flags = words[0];
	request.link.change = words[1];
	memcpy(request.attributes, &words[2], sizeof words[2]);
	request.header.length += sizeof words[2];
	return request;
}

/* Has a program decide what of an interface's incoming frames goes on. Returns 0, or -1. */
int rtnetlink_add_program(int socket, unsigned index, int program)
{
	static const uint32_t lookers_on[] = {TRAFFIC_LOOKERS_ON_HANDLE, TRAFFIC_LOOKERS_ON, 0};
	static const uint32_t incoming[] = {0, TRAFFIC_INCOMING, TRAFFIC_FIRST_OF_ALL};
	struct rtnetlink_request request =
		rtnetlink_traffic(RTNETLINK_NEW_QUEUE, RTNETLINK_CREATE_EXCLUSIVELY, index, lookers_on);
	uint32_t fd = (uint32_t)program, decides = PROGRAM_DECIDES;
	size_t options;

	rtnetlink_put(&request, TRAFFIC_KIND, "clsact", sizeof "clsact");
	if (rtnetlink_ask(socket, &request) != 0)
		return -1;
	request = rtnetlink_traffic(RTNETLINK_NEW_FILTER, RTNETLINK_CREATE, index, incoming);
	rtnetlink_put(&request, TRAFFIC_KIND, "bpf", sizeof "bpf");
	options = rtnetlink_put(&request, TRAFFIC_OPTIONS, NULL, 0);
	rtnetlink_put(&request, PROGRAM_FD, &fd, sizeof fd);
	rtnetlink_put(&request, PROGRAM_NAME, "bound", sizeof "bound");
	rtnetlink_put(&request, PROGRAM_FLAGS, &decides, sizeof decides);
	rtnetlink_nest(&request, options);
	return rtnetlink_ask(socket, &request);
}

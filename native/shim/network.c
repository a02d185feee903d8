/*
 * Ends of a network for a VMM, which is not in that network's namespace: one end of a veth pair, whose other end is the
 * bridge's port, is taken from there into a namespace made for it. Nothing else is in it, and no process: the descriptor that
 * is returned keeps it, and both ends of the pair go with the descriptor. So whatever a VMM makes of it (binds the socket anew,
 * changes the tap) meets nobody else's frames.
 */
#include "network.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../common/descriptor.h"
#include "../common/namespace.h"
#include "gso.h"
#include "rtnetlink.h"

/* From linux/if_tun.h, linux/if_ether.h, linux/if_packet.h, linux/ethtool.h and linux/sockios.h, which musl lacks. */
#define TUN_SET_IFF 0x400454ca
#define TUN_TAP_NO_PI_VNET_HDR 0x5002
#define ALL_PROTOCOLS 0x0003
#define PACKET_IGNORE_OUTGOING_OPTION 23
#define SOL_PACKET_LEVEL 263
#define ETHTOOL_REQUEST 0x8946
#define ETHTOOL_SET_TX_CHECKSUM 0x17
#define ETHTOOL_SET_TSO 0x1f
#define ETHTOOL_SET_GSO 0x24
#define BRIDGE_ADD_INTERFACE 0x89a2
#define NO_IPV6 "/proc/sys/net/ipv6/conf/default/disable_ipv6"

/* Frames that wait for a VMM which does not read: each may have 64 KiB, which are counted to nobody. */
#define MOST_WAITING 256

/* Names in a tap's own namespace. */
#define TAP "tap"
#define BRIDGE "bridge"

struct packet_address {
	uint16_t family, protocol;
	int32_t index;
	uint16_t type;
	uint8_t kind, length, address[8];
};

/* What is wanted of a namespace: `interface`, one end of a veth pair there. `peer`: the other end when a socket reads frames, else NULL. */
struct network_end {
	const char *namespace, *interface, *peer;
};

static int network_up(int control, const char *interface)
{
	struct ifreq request = {0};

	snprintf(request.ifr_name, sizeof request.ifr_name, "%s", interface);
	if (ioctl(control, SIOCGIFFLAGS, &request) != 0)
		return -1;
	request.ifr_flags |= IFF_UP;
	return ioctl(control, SIOCSIFFLAGS, &request);
}

static void network_no_offload(int control, const char *interface, uint32_t command)
{
	uint32_t value[2] = {command, 0};
	struct ifreq request = {0};

	snprintf(request.ifr_name, sizeof request.ifr_name, "%s", interface);
	request.ifr_data = (void *)value;
	ioctl(control, ETHTOOL_REQUEST, &request);
}

/* In the network's namespace: leaves it for a new one, and takes the interface along. Returns a socket for control there, or -1. */
static int network_take_away(const struct network_end *end)
{
	int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), links = rtnetlink_open(), there, quiet;
	unsigned index = if_nametoindex(end->interface);

	if (control < 0 || links < 0 || index == 0)
		return -1;
	if (end->peer != NULL) {
		network_no_offload(control, end->peer, ETHTOOL_SET_TX_CHECKSUM);
		network_no_offload(control, end->peer, ETHTOOL_SET_TSO);
		network_no_offload(control, end->peer, ETHTOOL_SET_GSO);
	}
	if (unshare(CLONE_NEWNET) != 0)
		return -1;
	/* Where it cannot be switched off, nothing of it passes the bridge all the same. */
	quiet = open(NO_IPV6, O_WRONLY | O_CLOEXEC);
	if (quiet >= 0 && write(quiet, "1", 1) == 1)
		close(quiet);
	there = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	close(control);
	control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (there < 0 || control < 0 || rtnetlink_move(links, index, there) != 0 || network_up(control, end->interface) != 0)
		return -1;
	return control;
}

/* Joined with the interface by a bridge that learns nothing: it passes everything to the other of its two ports. */
static int network_open_tap(int control, const char *interface)
{
	struct ifreq request = {.ifr_name = TAP, .ifr_flags = TUN_TAP_NO_PI_VNET_HDR};
	int tap = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK), links = rtnetlink_open();
	const char *ports[] = {TAP, interface};

	if (tap < 0 || links < 0 || ioctl(tap, TUN_SET_IFF, &request) != 0 ||
		rtnetlink_limit_queue(links, if_nametoindex(TAP), MOST_WAITING) != 0 || rtnetlink_add_bridge(links, BRIDGE) != 0)
		return -1;
	for (int i = 0; i < 2; i++) {
		memset(&request, 0, sizeof request);
		snprintf(request.ifr_name, sizeof request.ifr_name, "%s", BRIDGE);
		request.ifr_ifindex = (int)if_nametoindex(ports[i]);
		if (ioctl(control, BRIDGE_ADD_INTERFACE, &request) != 0)
			return -1;
	}
	gso_bound(links, if_nametoindex(TAP));
	return network_up(control, TAP) != 0 || network_up(control, BRIDGE) != 0 ? -1 : tap;
}

static int network_open_packet(const char *interface)
{
	struct packet_address address = {.family = AF_PACKET, .protocol = htons(ALL_PROTOCOLS)};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1;

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_PACKET_LEVEL, PACKET_IGNORE_OUTGOING_OPTION, &one, sizeof one);
	address.index = (int)if_nametoindex(interface);
	return address.index != 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0 ? fd : -1;
}

static int network_open(const struct network_end *end)
{
	int control = namespace_enter(end->namespace) != 0 ? -1 : network_take_away(end);

	if (control < 0)
		return -1;
	return end->peer == NULL ? network_open_tap(control, end->interface) : network_open_packet(end->interface);
}

/* Has a child open it: who enters a namespace of a user cannot come back. Returns the descriptor, or -1. */
static int network_fetch(const struct network_end *end)
{
	int pair[2], fd, error;
	char byte = 0;
	pid_t child;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
		return -1;
	child = fork();
	if (child == 0) {
		fd = network_open(end);
		byte = (char)errno;
		if (fd < 0 || send_descriptor(pair[1], fd, 0) != 0)
			(void)!write(pair[1], &byte, 1);
		_exit(0);
	}
	error = errno;
	close(pair[1]);
	fd = child < 0 ? -1 : receive_descriptor(pair[0], &byte);
	if (child >= 0) {
		error = (unsigned char)byte;
		while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
			;
	}
	close(pair[0]);
	errno = error;
	return fd;
}

/* A new tap, joined with `interface`, one end of a veth pair of which the other is the bridge's port. */
int network_tap(const char *namespace, const char *interface)
{
	return network_fetch(&(struct network_end){namespace, interface, NULL});
}

/*
 * A socket for whole frames on `interface`, one end of a veth pair of which `peer` is the bridge's port. Who reads frames from it
 * understands neither unfinished checksums nor frames longer than the MTU: the peer finishes them.
 */
int network_packet(const char *namespace, const char *interface, const char *peer)
{
	return network_fetch(&(struct network_end){namespace, interface, peer});
}

/*
 * Ends of a network in another network namespace: what a VMM sends frames through without being in that namespace. The
 * namespace is named by a file of it; the process stays in its own.
 */
#ifndef NETWORK_H
#define NETWORK_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "descriptor.h"
#include "namespace.h"

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

struct packet_address {
	uint16_t family, protocol;
	int32_t index;
	uint16_t type;
	uint8_t kind, length, address[8];
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

/* What is wanted of a namespace: a tap as a port of `other`, or a packet socket on a veth end whose peer is `other`. */
struct network_end {
	const char *interface, *other;
};

static int network_open_tap(const struct network_end *end)
{
	struct ifreq request = {.ifr_flags = TUN_TAP_NO_PI_VNET_HDR};
	int tap = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK), control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(request.ifr_name, sizeof request.ifr_name, "%s", end->interface);
	if (tap < 0 || control < 0 || ioctl(tap, TUN_SET_IFF, &request) != 0)
		return -1;
	memset(&request, 0, sizeof request);
	snprintf(request.ifr_name, sizeof request.ifr_name, "%s", end->other);
	request.ifr_ifindex = (int)if_nametoindex(end->interface);
	if (ioctl(control, BRIDGE_ADD_INTERFACE, &request) != 0 || network_up(control, end->interface) != 0)
		return -1;
	return tap;
}

static void network_no_offload(int control, const char *interface, uint32_t command)
{
	uint32_t value[2] = {command, 0};
	struct ifreq request = {0};

	snprintf(request.ifr_name, sizeof request.ifr_name, "%s", interface);
	request.ifr_data = (void *)value;
	ioctl(control, ETHTOOL_REQUEST, &request);
}

static int network_open_packet(const struct network_end *end)
{
	struct packet_address address = {.family = AF_PACKET, .protocol = htons(ALL_PROTOCOLS)};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1;

	if (fd < 0)
		return -1;
	network_no_offload(fd, end->other, ETHTOOL_SET_TX_CHECKSUM);
	network_no_offload(fd, end->other, ETHTOOL_SET_TSO);
	network_no_offload(fd, end->other, ETHTOOL_SET_GSO);
	setsockopt(fd, SOL_PACKET_LEVEL, PACKET_IGNORE_OUTGOING_OPTION, &one, sizeof one);
	address.index = (int)if_nametoindex(end->interface);
	return address.index != 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0 ? fd : -1;
}

/* Has a child open it in the namespace: who enters a user namespace cannot come back. Returns the descriptor, or -1. */
static int network_fetch(const char *namespace, const struct network_end *end, int (*open_end)(const struct network_end *))
{
	int pair[2], fd, error;
	char byte = 0;
	pid_t child;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
		return -1;
	child = fork();
	if (child == 0) {
		fd = namespace_enter(namespace) != 0 ? -1 : open_end(end);
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

/* A new tap interface as a port of a bridge; it goes with the descriptor. */
static int network_tap(const char *namespace, const char *interface, const char *bridge)
{
	return network_fetch(namespace, &(struct network_end){interface, bridge}, network_open_tap);
}

/*
 * A socket for whole frames on `interface`, one end of a veth pair of which `peer` is the bridge's port. Who reads frames from it
 * understands neither unfinished checksums nor frames longer than the MTU: the peer finishes them.
 */
static int network_packet(const char *namespace, const char *interface, const char *peer)
{
	return network_fetch(namespace, &(struct network_end){interface, peer}, network_open_packet);
}

#endif

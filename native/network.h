/*
 * Ends of a network in another network namespace: what a VMM sends frames through without being in that namespace. The
 * namespace is the file of one, such as /run/netns/NAME; the process comes back to its own.
 */
#ifndef NETWORK_H
#define NETWORK_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

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

/* Enters the namespace and returns a descriptor of the own one, or -1. */
static int network_enter(const char *namespace)
{
	int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), there = open(namespace, O_RDONLY | O_CLOEXEC);

	if (own >= 0 && there >= 0 && setns(there, CLONE_NEWNET) == 0) {
		close(there);
		return own;
	}
	if (own >= 0)
		close(own);
	if (there >= 0)
		close(there);
	return -1;
}

static void network_leave(int own)
{
	if (setns(own, CLONE_NEWNET) != 0)
		_exit(1); /* nothing may run in the wrong namespace */
	close(own);
}

static int network_up(int control, const char *interface)
{
	struct ifreq request = {0};

	snprintf(request.ifr_name, sizeof request.ifr_name, "%s", interface);
	if (ioctl(control, SIOCGIFFLAGS, &request) != 0)
		return -1;
	request.ifr_flags |= IFF_UP;
	return ioctl(control, SIOCSIFFLAGS, &request);
}

/* A new tap interface as a port of a bridge; it goes with the descriptor. */
static int network_tap(const char *namespace, const char *interface, const char *bridge)
{
	struct ifreq request = {.ifr_flags = TUN_TAP_NO_PI_VNET_HDR};
	int own = network_enter(namespace), tap = -1, control = -1, error;

	if (own < 0)
		return -1;
	snprintf(request.ifr_name, sizeof request.ifr_name, "%s", interface);
	tap = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (tap >= 0 && control >= 0 && ioctl(tap, TUN_SET_IFF, &request) == 0) {
		int index = (int)if_nametoindex(interface);

		memset(&request, 0, sizeof request);
		snprintf(request.ifr_name, sizeof request.ifr_name, "%s", bridge);
		request.ifr_ifindex = index;
		if (ioctl(control, BRIDGE_ADD_INTERFACE, &request) == 0 && network_up(control, interface) == 0)
			goto done;
	}
	error = errno;
	if (tap >= 0)
		close(tap);
	tap = -1;
	errno = error;
done:
	error = errno;
	if (control >= 0)
		close(control);
	network_leave(own);
	errno = error;
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

/*
 * A socket for whole frames on `interface`, one end of a veth pair of which `peer` is the bridge's port. Who reads frames from it
 * understands neither unfinished checksums nor frames longer than the MTU: the peer finishes them.
 */
static int network_packet(const char *namespace, const char *interface, const char *peer)
{
	struct packet_address address = {.family = AF_PACKET, .protocol = htons(ALL_PROTOCOLS)};
	int own = network_enter(namespace), fd, one = 1, error;

	if (own < 0)
		return -1;
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0) {
		network_no_offload(fd, peer, ETHTOOL_SET_TX_CHECKSUM);
		network_no_offload(fd, peer, ETHTOOL_SET_TSO);
		network_no_offload(fd, peer, ETHTOOL_SET_GSO);
		setsockopt(fd, SOL_PACKET_LEVEL, PACKET_IGNORE_OUTGOING_OPTION, &one, sizeof one);
		address.index = (int)if_nametoindex(interface);
		if (address.index == 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0) {
			error = errno;
			close(fd);
			fd = -1;
			errno = error;
		}
	}
	error = errno;
	network_leave(own);
	errno = error;
	return fd;
}

#endif

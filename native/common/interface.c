/* See interface.h: addresses of network interfaces. */
#include "interface.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* Returns 0, or an errno. */
static int ask(unsigned long what, struct ifreq *request, const char *name)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), error;

	if (fd < 0)
		return errno;
	snprintf(request->ifr_name, sizeof request->ifr_name, "%s", name);
	error = ioctl(fd, what, request) != 0 ? errno : 0;
	close(fd);
	return error;
}

static int set_one(unsigned long what, const char *name, const char *address)
{
	struct sockaddr_in at = {.sin_family = AF_INET};
	struct ifreq request = {0};

	if (inet_pton(AF_INET, address, &at.sin_addr) != 1)
		return EINVAL;
	memcpy(&request.ifr_addr, &at, sizeof at);
	return ask(what, &request, name);
}

int interface_set_address(const char *name, const char *address, const char *netmask)
{
	int error = set_one(SIOCSIFADDR, name, address);

	return error != 0 || netmask == NULL ? error : set_one(SIOCSIFNETMASK, name, netmask);
}

int interface_up(const char *name)
{
	struct ifreq request = {.ifr_flags = IFF_UP | IFF_RUNNING};

	return ask(SIOCSIFFLAGS, &request, name);
}

int interface_set_hardware(const char *name, const char *address)
{
	struct ifreq request = {.ifr_hwaddr.sa_family = ARPHRD_ETHER};
	unsigned char *byte = (unsigned char *)request.ifr_hwaddr.sa_data;
	int length = 0;

	if (sscanf(address, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%n", byte, byte + 1, byte + 2, byte + 3, byte + 4, byte + 5,
		   &length) != 6 || address[length] != 0)
		return EINVAL;
	return ask(SIOCSIFHWADDR, &request, name);
}

/* The address that this machine has in its network. */
#include "network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/route.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "../common/fields.h"
#include "../common/interface.h"
#include "protocol.h"

/* The route to everywhere, by way of `address`. 0 or an errno. */
static int set_gateway(const char *address)
{
	struct sockaddr_in at = {.sin_family = AF_INET};
	struct rtentry route = {.rt_flags = RTF_UP | RTF_GATEWAY};
	int fd, error;
	if (inet_pton(AF_INET, address, &at.sin_addr) != 1) return EINVAL;
	memcpy(&route.rt_gateway, &at, sizeof at);
	at.sin_addr.s_addr = 0;
	memcpy(&route.rt_dst, &at, sizeof at), memcpy(&route.rt_genmask, &at, sizeof at);
	if ((fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) < 0) return errno;
	error = ioctl(fd, SIOCADDRT, &route) && errno != EEXIST ? errno : 0;
	close(fd);
	return error;
}

/* interface, address, netmask, gateway (may be empty), separated by 0x1f */
int set_address(char *spec)
{
	char *field[5]; /* what is behind the fourth is of a newer host */
	int error;
	split_fields(spec, FIELD, field, 5);
	error = interface_set_address(field[0], field[1], field[2]);
	if (!error) error = interface_up(field[0]);
	return error || !*field[3] ? error : set_gateway(field[3]);
}

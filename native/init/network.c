/* The network card, and the address that this machine has in its network. */
#include "network.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <net/route.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "../common/fields.h"
#include "../common/interface.h"
#include "files.h"
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

/* The first name in a directory that begins so; not 0: there is none. */
static int find_name(const char *directory, const char *start, char *name, size_t size)
{
	DIR *list = opendir(directory);
	struct dirent *entry;
	*name = 0;
	while (list && !*name && (entry = readdir(list)))
		if (!strncmp(entry->d_name, start, strlen(start))) snprintf(name, size, "%s", entry->d_name);
	if (list) closedir(list);
	return !*name;
}

/* `function`, a PCI address, has a virtio device without a driver from here on. 0 also where there is no such device. */
int leave_card(char *function)
{
	char path[PATH_MAX], device[NAME_MAX + 1];
	snprintf(path, sizeof path, "/sys/bus/pci/devices/%s", function);
	if (find_name(path, "virtio", device, sizeof device)) return 0;
	snprintf(path, sizeof path, "/sys/bus/virtio/devices/%s/driver/unbind", device);
	return access(path, F_OK) ? 0 : write_file(path, device);
}

/* FUNCTION and HARDWARE: the function's virtio device gets its driver, and its interface that hardware address. */
int take_card(char *spec)
{
	char *field[3], path[PATH_MAX], device[NAME_MAX + 1], interface[NAME_MAX + 1];
	if (split_fields(spec, FIELD, field, 3) < 2) return EINVAL;
	snprintf(path, sizeof path, "/sys/bus/pci/devices/%s", field[0]);
	if (find_name(path, "virtio", device, sizeof device)) return ENODEV;
	int error = write_file("/sys/bus/virtio/drivers_probe", device);
	snprintf(path, sizeof path, "/sys/bus/virtio/devices/%s/net", device);
	if (!error && find_name(path, "eth", interface, sizeof interface)) error = ENODEV;
	return error ? error : interface_set_hardware(interface, field[1]);
}

/* See ports.h: the ports that flows of datagrams have. */
#include "ports.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/random.h>
#include <sys/socket.h>

/* Below it are those that are root's in some namespaces. */
#define FIRST_PORT 1024
#define PORTS (65536 - FIRST_PORT)
#define MOST_PARTS 64

/* Of an earlier pk-forward each socket has a port to itself. */
#define MOST_TRIES 4096

static char is_taken[65536];
static unsigned own_part, all_parts = 1;

int use_part(unsigned long part, unsigned long parts)
{
	if (parts == 0 || parts > MOST_PARTS || part >= parts)
		return -1;
	own_part = (unsigned)part, all_parts = (unsigned)parts;
	return 0;
}

uint16_t bind_to_port(int fd)
{
	struct sockaddr_in here = { .sin_family = AF_INET };
	unsigned count = (PORTS - own_part + all_parts - 1) / all_parts, first, tries = 0;
	int one = 1;

	if (getrandom(&first, sizeof first, 0) != sizeof first || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0)
		return 0;
	for (unsigned i = 0; i < count && tries < MOST_TRIES; i++) {
		uint16_t port = (uint16_t)(FIRST_PORT + own_part + all_parts * ((first % count + i) % count));

		if (is_taken[port])
			continue;
		here.sin_port = htons(port);
		if (bind(fd, (const struct sockaddr *)&here, sizeof here) == 0) {
			is_taken[port] = 1;
			return port;
		}
		if (errno != EADDRINUSE)
			return 0;
		tries++;
	}
	return 0;
}

void give_port_back(uint16_t port)
{
	is_taken[port] = 0;
}

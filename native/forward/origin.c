/* See origin.h: whom a client counts as. */
#include "origin.h"

#include <netinet/in.h>
#include <string.h>

uint64_t origin_of(const struct sockaddr_storage *from)
{
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)from;
	uint64_t half;

	if (from->ss_family == AF_INET)
		return ((const struct sockaddr_in *)from)->sin_addr.s_addr;
	memcpy(&half, six->sin6_addr.s6_addr + (IN6_IS_ADDR_LINKLOCAL(&six->sin6_addr) ? 8 : 0), sizeof half);
	return half;
}

/*
 * Whom a client counts as, in 64 bits: an IPv4 address; the network of an IPv6 address, for whoever has one address of a /64 has them
 * all; of a link-local one, which are all of one network, the rest of it.
 */
#ifndef PK_FORWARD_ORIGIN_H
#define PK_FORWARD_ORIGIN_H

#include <stdint.h>
#include <sys/socket.h>

uint64_t origin_of(const struct sockaddr_storage *from);

#endif

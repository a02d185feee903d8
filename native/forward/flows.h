/* Flows of datagrams: each a client's address and port, with a socket of its own towards the target. */
#ifndef PK_FORWARD_FLOWS_H
#define PK_FORWARD_FLOWS_H

#include <netinet/in.h>
#include <stdint.h>

#include "clients.h"

#define FLOWS PLACES

/* Which of this machine's addresses a client spoke to, as a control message: answers come from there. */
struct spoken_to {
	_Alignas(8) char bytes[64];
	size_t length; /* 0: the kernel's choice */
};

struct datagram_flow {
	struct sockaddr_storage from;
	socklen_t from_length;
	struct spoken_to to;
	int fd; /* -1: the slot is free */
	uint16_t port; /* its own, in the target's network */
	unsigned said; /* datagrams of the client, up to two */
	int answered;
	int64_t moved; /* nanoseconds */
	struct client *client;
	struct datagram_flow *next; /* of the same hash, or free */
};

extern struct datagram_flow flows[FLOWS];

void forget_flows(void);
/* The flow of a client, or NULL. */
struct datagram_flow *find_flow(const struct sockaddr_storage *from);
/* A flow for a client that has none, with `fd`: another one's place, where all are taken. */
struct datagram_flow *open_flow(const struct sockaddr_storage *from, socklen_t length, int fd, int64_t now);
void close_flow(struct datagram_flow *f);
/* Closes those that are silent for too long. */
void close_silent_flows(int64_t now);

#endif

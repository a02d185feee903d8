/* Those whom clients count as (origin.h), and how many places each has: there are never more of them than places. */
#ifndef PK_FORWARD_CLIENTS_H
#define PK_FORWARD_CLIENTS_H

#include <stdint.h>

/* A power of two. */
#define PLACES_BITS 10
#define PLACES (1 << PLACES_BITS)

struct client {
	uint64_t origin;
	unsigned count;
	unsigned round, begun; /* of TCP: so many were begun in that round */
	struct client *next; /* of the same hash, or free */
};

void forget_clients(void);
/* How many places an origin has. */
unsigned places_of(uint64_t origin);
/* The most that any has. */
unsigned most_places(void);
/* Takes one place more; the client stays where it is until it gives its last one back. */
struct client *take_place(uint64_t origin);
void give_place_back(struct client *client);

#endif

/* See clients.h: how many places each client has. */
#include "clients.h"

#include <stddef.h>
#include <string.h>
#include <sys/random.h>

#include "../common/fail.h"

static struct client clients[PLACES], *hashed[PLACES], *free_client;

/* By a hash that nobody can guess: the uppermost bits of a product, for they depend on all bits of an origin. */
static uint64_t hash_key;

void forget_clients(void)
{
	if (getrandom(&hash_key, sizeof hash_key, 0) != sizeof hash_key)
		fail("random");
	free_client = NULL;
	memset(hashed, 0, sizeof hashed);
	for (int i = PLACES - 1; i >= 0; i--) {
		clients[i] = (struct client){ .next = free_client };
		free_client = &clients[i];
	}
}

/* Where the client of an origin is, or NULL; where it would be put. */
static struct client **client_of(uint64_t origin)
{
	struct client **at = &hashed[(origin * (hash_key | 1) + hash_key) >> (64 - PLACES_BITS)];

	while (*at != NULL && (*at)->origin != origin)
		at = &(*at)->next;
	return at;
}

unsigned places_of(uint64_t origin)
{
	struct client *client = *client_of(origin);

	return client == NULL ? 0 : client->count;
}

unsigned most_places(void)
{
	unsigned most = 0;

	for (struct client *c = clients; c < clients + PLACES; c++)
		if (c->count > most)
			most = c->count;
	return most;
}

struct client *take_place(uint64_t origin)
{
	struct client **at = client_of(origin), *client;

	if (*at == NULL) {
		client = free_client;
		free_client = client->next;
		*client = (struct client){ .origin = origin };
		*at = client;
	}
	(*at)->count++;
	return *at;
}

void give_place_back(struct client *client)
{
	struct client **at;

	if (--client->count > 0)
		return;
	at = client_of(client->origin);
	*at = client->next;
	client->next = free_client;
	free_client = client;
}

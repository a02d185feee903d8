/* The places of connections and of addresses: who has one, and its end. */
#include "pairs.h"

#include <string.h>
#include <unistd.h>

#include "room.h"

struct pair pairs[PAIRS], *unused[PAIRS];

/* Those without a target; who left may still be in it, but none twice. */
struct pair *waiting[PAIRS];
char is_listed[PAIRS];
size_t unused_count, waiting_count;
char *memory;

/* By a hash that nobody can guess. */
struct client clients[PAIRS], *hashed[PAIRS], *free_client;
uint64_t hash_key;
int64_t now; /* nanoseconds; every new pair has one of its own */

/* Nobody is here, and every place is free. */
void forget_all(void)
{
	unused_count = waiting_count = 0;
	free_client = NULL;
	memset(hashed, 0, sizeof hashed);
	memset(is_listed, 0, sizeof is_listed);
	for (int i = PAIRS - 1; i >= 0; i--) {
		pairs[i].fd[0] = pairs[i].fd[1] = -1;
		unused[unused_count++] = &pairs[i];
		clients[i] = (struct client){ .next = free_client };
		free_client = &clients[i];
	}
}

/* Where the client of an address is, or NULL; where it would be put. */
static struct client **client_of(in_addr_t address)
{
	struct client **at = &hashed[(address * (hash_key | 1) + hash_key) >> 32 & (PAIRS - 1)];

	while (*at != NULL && (*at)->address != address)
		at = &(*at)->next;
	return at;
}

void drop(struct pair *p)
{
	struct client *client = p->client, **at;

	for (int side = 0; side < 2; side++) {
		if (p->fd[side] >= 0)
			close(p->fd[side]);
		p->fd[side] = -1;
	}
	unused[unused_count++] = p;
	if (--client->count > 0)
		return;
	at = client_of(client->address);
	*at = client->next;
	client->next = free_client;
	free_client = client;
}

/* Its peer sees a reset, as it would without us. */
void hang_up(int fd)
{
	struct linger hard = { 1, 0 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
}

void drop_hard(struct pair *p)
{
	hang_up(p->fd[0]);
	drop(p);
}

/* The pair of a new client, which has no target yet; NULL when there is no place for it. */
struct pair *seat(int fd, in_addr_t address)
{
	struct client **at = client_of(address), *client;
	struct pair *p;

	if (make_room(*at == NULL ? 0 : (*at)->count) < 0)
		return NULL;
	/* Whoever made room may have been the last of its address. */
	at = client_of(address);
	if (*at == NULL) {
		client = free_client;
		free_client = client->next;
		*client = (struct client){ .address = address };
		*at = client;
	}
	(*at)->count++;
	now++;
	p = unused[--unused_count];
	*p = (struct pair){ .fd = { fd, -1 }, .client = *at, .begun = now, .moved = now };
	for (int i = 0; i < 2; i++)
		p->flow[i] = (struct flow){ .bytes = memory + ((size_t)(p - pairs) * 2 + (size_t)i) * BUFFER_BYTES };
	if (!is_listed[p - pairs])
		waiting[waiting_count++] = p;
	is_listed[p - pairs] = 1;
	return p;
}

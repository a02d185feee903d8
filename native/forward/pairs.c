/* The places of connections: who has one, and its end. */
#include "pairs.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "endings.h"
#include "room.h"

struct pair pairs[PAIRS], *unused[PAIRS];

/* Those without a target; who left may still be in it, but none twice. */
struct pair *waiting[PAIRS];
char is_listed[PAIRS];
size_t unused_count, waiting_count, blocked_count;

int64_t now; /* nanoseconds; every new pair has one of its own */

/* Nobody is here, and every place is free. */
void forget_all(void)
{
	unused_count = waiting_count = blocked_count = 0;
	forget_clients();
	forget_endings();
	memset(is_listed, 0, sizeof is_listed);
	for (int i = PAIRS - 1; i >= 0; i--) {
		pairs[i].fd[0] = pairs[i].fd[1] = -1;
		unused[unused_count++] = &pairs[i];
	}
}

void set_blocked(struct pair *p, int blocked)
{
	blocked_count += (size_t)blocked - (size_t)p->blocked;
	p->blocked = blocked;
}

/* Its peer sees a reset, as it would without us. */
void hang_up(int fd)
{
	struct linger hard = { 1, 0 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
}

/* What a client said to its end the target gets to its end; else it sees a reset, as it would without us. */
void drop(struct pair *p)
{
	if (p->fd[1] >= 0 && p->flow[0].ended == 2)
		end_gently(p->fd[1], now);
	else if (p->fd[1] >= 0) {
		hang_up(p->fd[1]);
		close(p->fd[1]);
	}
	close(p->fd[0]);
	p->fd[0] = p->fd[1] = -1;
	set_blocked(p, 0);
	unused[unused_count++] = p;
	give_place_back(p->client);
}

void drop_hard(struct pair *p)
{
	hang_up(p->fd[0]);
	drop(p);
}

/* The pair of a new client, which has no target yet; NULL when there is no place for it. */
struct pair *seat(int fd, uint64_t origin)
{
	struct pair *p;

	if (make_room(places_of(origin)) < 0)
		return NULL;
	now++;
	p = unused[--unused_count];
	*p = (struct pair){ .fd = { fd, -1 }, .client = take_place(origin), .begun = now, .moved = now };
	if (!is_listed[p - pairs])
		waiting[waiting_count++] = p;
	is_listed[p - pairs] = 1;
	return p;
}

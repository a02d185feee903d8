/* Connections: each a client joined with the target. */
#ifndef PK_FORWARD_PAIRS_H
#define PK_FORWARD_PAIRS_H

#include <stddef.h>
#include <stdint.h>

#include "clients.h"

#define PAIRS PLACES
#define SECOND 1000000000LL

/* One direction. What one side has no room for stays with the other, in the kernel. */
struct flow {
	int blocked; /* there is something for which there was no room */
	int ended; /* 1: its source has closed; 2: and the other side was told */
};

struct pair {
	int fd[2]; /* client, target; -1: the slot is free, or there is no target yet */
	uint32_t watched[2]; /* events; 0: the poller does not know it */
	int connecting, spoke; /* spoke: the client sent something */
	int blocked; /* one of its directions is */
	struct client *client;
	int64_t begun, moved; /* when something last moved */
	struct flow flow[2]; /* [0] client to target */
};

extern struct pair pairs[PAIRS], *unused[PAIRS];
/* Those without a target; who left may still be in it, but none twice. */
extern struct pair *waiting[PAIRS];
extern char is_listed[PAIRS];
extern size_t unused_count, waiting_count, blocked_count;
extern int64_t now; /* nanoseconds; every new pair has one of its own */

void forget_all(void);
void set_blocked(struct pair *p, int blocked);
void drop(struct pair *p);
void hang_up(int fd);
void drop_hard(struct pair *p);
struct pair *seat(int fd, uint64_t origin);

#endif

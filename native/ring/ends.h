/* Ends of rings for pk-ring and pk-ring-bench: what goes wrong ends the program. */
#ifndef PK_RING_ENDS_H
#define PK_RING_ENDS_H

#include "pk-channel.h"

/* Its channel is of no more use. */
_Noreturn void give_up(const struct pk_channel *ch);

/* A ring in a file of its own: no daemon knows of it, and both ends are in one kernel. */
struct pk_channel map_path(const char *path, int flags, uint64_t bytes);

/* `name` is that of a channel, or the path of a file if it has a slash. */
struct pk_channel attach(const char *name, enum pk_channel_side side);

/* The next message; NULL at the end of the stream. */
const void *wait_message(struct pk_channel *ch, uint32_t *length);
void release(struct pk_channel *ch, uint32_t length);
void send_message(struct pk_channel *ch, const void *bytes, uint32_t length, uint32_t tag);

#endif

#ifndef PK_RING_BENCH_TCP_H
#define PK_RING_BENCH_TCP_H

#include <stdint.h>

/* Gives `interface` its address; without a peer it says `ready` and answers, else it asks and prints what one round trip takes. */
int tcp_end(const char *interface, const char *address, const char *peer, uint32_t count);

#endif

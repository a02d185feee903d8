/* Each makes a child, which ends by itself with 0 when all was well, and returns nanoseconds of one step. */
#ifndef PK_RING_BENCH_RING_H
#define PK_RING_BENCH_RING_H

#include <stdint.h>

double round_trip(uint32_t count);
double stream(uint32_t count, uint32_t bytes);
double bare_copy(uint32_t count);
double wake(uint32_t count);

#endif

/* Messages with numbers in them, and how long one takes. */
#ifndef PK_RING_LAPS_H
#define PK_RING_LAPS_H

#include "ends.h"

/* Nanoseconds. */
static inline double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

/*
 * What one step took in the fastest lap of LAP steps. Two spinning processes need both CPUs at once: whatever else runs
 * meanwhile stops one of them for whole time slices, which says nothing of the ring.
 */
#define LAP 2000
struct laps {
	double began, nanoseconds;
};

static inline void lap_of(struct laps *laps, uint32_t step, uint32_t length)
{
	double at, each;

	if (step % length)
		return;
	at = now();
	each = (at - laps->began) / length;
	if (step > 0 && (laps->nanoseconds == 0 || each < laps->nanoseconds))
		laps->nanoseconds = each;
	laps->began = at;
}

static inline void lap(struct laps *laps, uint32_t step)
{
	lap_of(laps, step, LAP);
}

/* Takes the message with this number by copying it; puts one. */
void expect(struct pk_channel *ring, uint32_t number, uint32_t bytes, void *copy);
void put(struct pk_channel *ring, uint32_t number, uint32_t bytes, void *scratch);

/* For qsort() of doubles. */
int by_value(const void *a, const void *b);

#endif

/*
 * pk-tsc: prints the rate of this host's time-stamp counter in kHz, seen over 50 ms against CLOCK_MONOTONIC_RAW, which no
 * time server steers. Ends with 1 and says why where the two do not agree with each other.
 */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <x86intrin.h>

#define TRIES 64 /* of which the one counts that was interrupted least */
#define WINDOW_NS 10000000
#define WINDOWS 5

struct reading {
	uint64_t ticks;
	int64_t ns;
};

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_RAW, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Both clocks at one time, as nearly as can be. */
static struct reading look(void)
{
	struct reading best = {0, 0};
	int64_t shortest = INT64_MAX;

	for (int i = 0; i < TRIES; i++) {
		int64_t before = now_ns();
		uint64_t ticks = __rdtsc();
		int64_t after = now_ns();

		if (after - before < shortest) {
			shortest = after - before;
			best = (struct reading){ticks, before + shortest / 2};
		}
	}
	return best;
}

int main(void)
{
	uint64_t rates[WINDOWS];
	struct timespec window = {0, WINDOW_NS};

	for (int i = 0; i < WINDOWS; i++) {
		struct reading from = look(), to;

		nanosleep(&window, NULL);
		to = look();
		if (to.ticks <= from.ticks || to.ns <= from.ns) {
			fprintf(stderr, "pk-tsc: the time-stamp counter does not go forward\n");
			return 1;
		}
		/* Ticks of a millisecond; 2^64 of them times 10^6 would not fit. */
		rates[i] = (uint64_t)((double)(to.ticks - from.ticks) * 1e6 / (double)(to.ns - from.ns) + 0.5);
	}
	for (int i = 1; i < WINDOWS; i++)
		for (int j = i; j > 0 && rates[j] < rates[j - 1]; j--) {
			uint64_t swapped = rates[j];

			rates[j] = rates[j - 1];
			rates[j - 1] = swapped;
		}
	if (rates[WINDOWS - 2] - rates[1] > rates[WINDOWS / 2] / 1000) {
		fprintf(stderr, "pk-tsc: the time-stamp counter runs unevenly, at %" PRIu64 " to %" PRIu64 " kHz\n", rates[1], rates[WINDOWS - 2]);
		return 1;
	}
	printf("%" PRIu64 "\n", rates[WINDOWS / 2]);
	return 0;
}

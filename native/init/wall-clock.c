#include "wall-clock.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/timex.h>
#include <time.h>

#include "bytes.h"
#include "frames.h"
#include "protocol.h"

/* Moves it by so many nanoseconds in one step, however long it took them to come here. */
int step_clock(const char *text)
{
	long long ns = strtoll(text, NULL, 10), rest = ns % 1000000000;
	struct timex x = {.modes = ADJ_SETOFFSET | ADJ_NANO};
	x.time.tv_sec = ns / 1000000000 - (rest < 0);
	x.time.tv_usec = rest < 0 ? rest + 1000000000 : rest;
	return clock_adjtime(CLOCK_REALTIME, &x) < 0 ? errno : 0;
}

/* Moves it little by little, at most 0.5 ms a second; what an earlier one has left to do is forgotten. */
int slew_clock(const char *text)
{
	struct timex x = {.modes = ADJ_OFFSET_SINGLESHOT, .offset = (long)(strtoll(text, NULL, 10) / 1000)};
	return clock_adjtime(CLOCK_REALTIME, &x) < 0 ? errno : 0;
}

void tell_time(u32 request)
{
	struct timespec t;
	u8 p[8];
	clock_gettime(CLOCK_REALTIME, &t);
	u64 ns = (u64)t.tv_sec * 1000000000u + (u64)t.tv_nsec;
	put32(p, (u32)ns), put32(p + 4, (u32)(ns >> 32));
	frame(G_TIME, 0, request, p, sizeof p);
}

/* See pressure.h: who makes room when the host's memory for TCP is nearly used up. */
#include "pressure.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "../common/text.h"
#include "endings.h"
#include "pairs.h"

#define STANDS_STILL_S 1

static long most_pages; /* 0: not known */

void learn_pressure(void)
{
	char text[128], *at = text;
	long pressure;

	/* Three numbers; from the second on the kernel gives all connections less. */
	if (read_text("/proc/sys/net/ipv4/tcp_mem", text, sizeof text) <= 0)
		return;
	(void)strtol(at, &at, 10);
	pressure = strtol(at, NULL, 10);
	most_pages = pressure / 4 * 3;
}

static int is_pressed(void)
{
	char text[1024], *tcp, *pages;

	if (most_pages <= 0 || read_text("/proc/net/sockstat", text, sizeof text) <= 0)
		return 0;
	tcp = strstr(text, "\nTCP:");
	pages = tcp == NULL ? NULL : strstr(tcp, " mem ");
	return pages != NULL && strtol(pages + 5, NULL, 10) > most_pages;
}

static int64_t held_by(const struct pair *p)
{
	int64_t all = 0;

	for (int side = 0; side < 2; side++) {
		int in = 0, out = 0;

		if (p->fd[side] < 0 || ioctl(p->fd[side], FIONREAD, &in) != 0 || ioctl(p->fd[side], TIOCOUTQ, &out) != 0)
			continue;
		all += (int64_t)in + out;
	}
	return all;
}

void relieve_pressure(void)
{
	static int64_t held[PAIRS];
	int64_t all = 0, given = 0;

	if (!is_pressed())
		return;
	reset_endings();
	for (size_t i = 0; i < PAIRS; i++) {
		held[i] = pairs[i].blocked && now - pairs[i].moved > STANDS_STILL_S * SECOND ? held_by(&pairs[i]) : 0;
		all += held[i];
	}
	while (given < all - given) {
		size_t most = 0;

		for (size_t i = 1; i < PAIRS; i++)
			if (held[i] > held[most])
				most = i;
		given += held[most];
		held[most] = 0;
		/* Nothing of it goes on to the target. */
		pairs[most].flow[0].ended = 0;
		drop_hard(&pairs[most]);
	}
}

/* See pressure.h: who makes room when the host's memory for TCP is nearly used up. */
#include "pressure.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "../common/text.h"
#include "endings.h"
#include "pairs.h"

#define STANDS_STILL_S 1
/* A port that holds less than such a part makes room only when there is none left: it is another's fault. */
#define SMALL_PART 64

static long pressure_pages; /* from here on the kernel gives all connections less; 0: not known */
static int usage; /* /proc/net/sockstat */

void learn_pressure(void)
{
	char text[128], *at = text;

	/* The second of three numbers. */
	if (read_text("/proc/sys/net/ipv4/tcp_mem", text, sizeof text) <= 0)
		return;
	(void)strtol(at, &at, 10);
	usage = open("/proc/net/sockstat", O_RDONLY | O_CLOEXEC);
	pressure_pages = usage < 0 ? 0 : strtol(at, NULL, 10);
}

/* Pages that all connections of the machine have. */
static long used_pages(void)
{
	char text[1024], *tcp, *pages;
	ssize_t n = pressure_pages > 0 ? pread(usage, text, sizeof text - 1, 0) : 0;

	text[n > 0 ? n : 0] = 0;
	tcp = strstr(text, "\nTCP:");
	pages = tcp == NULL ? NULL : strstr(tcp, " mem ");
	return pages == NULL ? 0 : strtol(pages + 5, NULL, 10);
}

/* Whether who holds so many bytes has to make room. */
static int has_to_yield(long used, int64_t held)
{
	if (used > pressure_pages)
		return 1;
	return used > pressure_pages / 4 * 3 && held >= pressure_pages * (int64_t)sysconf(_SC_PAGESIZE) / SMALL_PART;
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
	long used = used_pages();

	if (used <= pressure_pages / 4 * 3)
		return;
	for (size_t i = 0; i < PAIRS; i++) {
		held[i] = pairs[i].blocked && now - pairs[i].moved > STANDS_STILL_S * SECOND ? held_by(&pairs[i]) : 0;
		all += held[i];
	}
	if (!has_to_yield(used, all + bytes_of_endings()))
		return;
	reset_endings();
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

/* Sets of CPU and node numbers, in the kernel's list format: 0-3,8. */
#ifndef NUMBERS_H
#define NUMBERS_H

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* As many CPUs as any kernel is built for (NR_CPUS); nodes are fewer (MAX_NUMNODES is 1024). */
#define NUMBERS_MAX 8192
#define LONG_BITS (CHAR_BIT * sizeof(unsigned long))

/* Laid out as the kernel reads sched_setaffinity's and set_mempolicy's masks. */
struct numbers {
	unsigned long bits[NUMBERS_MAX / LONG_BITS];
};

/* Returns 0, or -1 when `text` up to its end or a space is no list of numbers below NUMBERS_MAX. */
static int parse_numbers(const char *text, struct numbers *set)
{
	memset(set, 0, sizeof *set);
	for (;;) {
		char *end;
		unsigned long first, last;

		if (*text < '0' || *text > '9')
			return -1;
		first = last = strtoul(text, &end, 10);
		if (*end == '-') {
			text = end + 1;
			if (*text < '0' || *text > '9')
				return -1;
			last = strtoul(text, &end, 10);
		}
		if (last < first || last >= NUMBERS_MAX)
			return -1;
		for (; first <= last; first++)
			set->bits[first / LONG_BITS] |= 1ul << first % LONG_BITS;
		if (*end == 0 || *end == ' ')
			return 0;
		if (*end != ',')
			return -1;
		text = end + 1;
	}
}

#endif

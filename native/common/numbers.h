/* Numbers in arguments: single ones, and sets of CPUs or memory nodes in the kernel's list format, 0-3,8. */
#ifndef PK_NUMBERS_H
#define PK_NUMBERS_H

#include <limits.h>

/* As many CPUs as any kernel is built for (NR_CPUS); nodes are fewer (MAX_NUMNODES is 1024). */
#define NUMBERS_MAX 8192
#define LONG_BITS (CHAR_BIT * sizeof(unsigned long))

/* Laid out as the kernel reads sched_setaffinity's and set_mempolicy's masks. */
struct numbers {
	unsigned long bits[NUMBERS_MAX / LONG_BITS];
};

/* Returns 0, or -1 when `text` up to its end or a space is no list of numbers below NUMBERS_MAX. */
int parse_numbers(const char *text, struct numbers *set);

/* `text` as a number from 0 to `most`; refuses anything else, and says that `what` was wrong. */
unsigned long number(const char *what, const char *text, unsigned long most);

#endif

/* See numbers.h: numbers in arguments. */
#include "numbers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fail.h"

int parse_numbers(const char *text, struct numbers *set)
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

unsigned long number(const char *what, const char *text, unsigned long most)
{
	char *end;
	unsigned long value;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (end == text || *end != 0 || errno != 0 || *text == '-' || value > most)
		refuse("%s: %s is not a number up to %lu", what, text, most);
	return value;
}

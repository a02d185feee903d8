/* How pk-cell and pk-jail end when they cannot do what they are asked: one line that says why, and FAIL_STATUS. */
#ifndef FAIL_H
#define FAIL_H

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FAIL_STATUS 125

/* Tells of errno too, unless it is 0. Whoever includes this defines PROGRAM. */
__attribute__((noreturn, format(printf, 1, 2))) static void fail(const char *format, ...)
{
	va_list list;
	int error = errno;

	fputs(PROGRAM ": ", stderr);
	va_start(list, format);
	vfprintf(stderr, format, list);
	va_end(list);
	if (error)
		fprintf(stderr, ": %s", strerror(error));
	fputc('\n', stderr);
	exit(FAIL_STATUS);
}

/* For what is refused, which is no error of the system. */
#define REFUSE(...) (errno = 0, fail(__VA_ARGS__))

/* `text` as a number from 0 to `most`; refuses anything else, and says that `what` was wrong. */
static unsigned long number(const char *what, const char *text, unsigned long most)
{
	char *end;
	unsigned long value;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (end == text || *end != 0 || errno != 0 || *text == '-' || value > most)
		REFUSE("%s: %s is not a number up to %lu", what, text, most);
	return value;
}

#endif

#include "fail.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int fail_status = 1;

static _Noreturn void end(int error, const char *format, va_list list)
{
	fprintf(stderr, "%s: ", program_name);
	vfprintf(stderr, format, list);
	if (error)
		fprintf(stderr, ": %s", strerror(error));
	fputc('\n', stderr);
	exit(fail_status);
}

void fail(const char *format, ...)
{
	va_list list;

	va_start(list, format);
	end(errno, format, list);
}

void refuse(const char *format, ...)
{
	va_list list;

	va_start(list, format);
	end(0, format, list);
}

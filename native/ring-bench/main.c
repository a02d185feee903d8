/*
 * pk-ring-bench: what the ring is held against. Not in guests, which have pk-ring.
 *
 *   pk-ring-bench rtt|stream|bulk|memcpy|wake COUNT    nanoseconds of one, on CPUs 0 and 1
 *   pk-ring-bench tcp-echo INTERFACE ADDRESS           answers, for
 *   pk-ring-bench tcp-ping INTERFACE ADDRESS PEER COUNT    a round trip over TCP
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "../common/fail.h"
#include "../common/numbers.h"
#include "ring.h"
#include "tcp.h"

const char program_name[] = "pk-ring-bench";

static uint32_t count(const char *text)
{
	return (uint32_t)number("argument", text, UINT_MAX);
}

static int usage(void)
{
	fputs("usage: pk-ring-bench rtt|stream|bulk|memcpy|wake COUNT |\n"
	      "       tcp-echo INTERFACE ADDRESS | tcp-ping INTERFACE ADDRESS PEER COUNT\n", stderr);
	return 2;
}

static int bench(const char *figure, uint32_t times)
{
	double result;
	int status;

	if (strcmp(figure, "rtt") == 0)
		result = round_trip(times);
	else if (strcmp(figure, "stream") == 0)
		result = stream(times, 64);
	else if (strcmp(figure, "bulk") == 0)
		result = stream(times, 4096);
	else if (strcmp(figure, "memcpy") == 0)
		result = bare_copy(times);
	else if (strcmp(figure, "wake") == 0)
		result = wake(times);
	else
		return usage();
	wait(&status);
	if (status != 0)
		fail("the other end failed");
	printf("%.1f\n", result);
	return 0;
}

int main(int argc, char **argv)
{
	const char *command = argc > 1 ? argv[1] : "";

	errno = 0;
	if (argc == 4 && strcmp(command, "tcp-echo") == 0)
		return tcp_end(argv[2], argv[3], NULL, 0);
	if (argc == 6 && strcmp(command, "tcp-ping") == 0)
		return tcp_end(argv[2], argv[3], argv[4], count(argv[5]));
	return argc == 3 ? bench(command, count(argv[2])) : usage();
}

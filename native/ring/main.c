/*
 * pk-ring: the ring of docs/ring.md for shells, for conformance tests of other languages, and as the measure that they are
 * held against. A CHANNEL is the name of one (docs/channel.md), or the path of a file with a ring if it has a slash.
 *
 *   pk-ring send CHANNEL             each line of standard input becomes a message; its end closes the channel
 *   pk-ring recv CHANNEL             messages to standard output, a line each, until the producer closes
 *   pk-ring echo IN OUT [COUNT]      sends back what comes, until the producer closes or so many messages have come
 *   pk-ring ping OUT IN COUNT [WAIT] nanoseconds of a round trip of 64 bytes to an echo: of the fastest lap, or with WAIT
 *                                    (microseconds before each, in which the echo falls asleep) the median
 *   pk-ring fill CHANNEL COUNT BYTES, drain CHANNEL COUNT BYTES    one each: drain prints nanoseconds per message
 *   pk-ring check-send CHANNEL COUNT LONGEST LEDGER    numbered messages with known content, then close
 *   pk-ring check-recv CHANNEL COUNT LEDGER            takes them and verifies every byte
 *   pk-ring create PATH BYTES        make a ring with BYTES of data
 *   pk-ring keep NAME BYTES FILE [MEMORY]    hold memory for a channel until SIGTERM: see keep()
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "../common/numbers.h"
#include "check.h"
#include "figures.h"
#include "lines.h"
#include "memory.h"

const char program_name[] = "pk-ring";

static uint32_t count(const char *text)
{
	return (uint32_t)number("argument", text, UINT_MAX);
}

int main(int argc, char **argv)
{
	const char *command = argc > 1 ? argv[1] : "";

	errno = 0;
	if (argc == 4 && strcmp(command, "create") == 0)
		return create(argv[2], count(argv[3]));
	if (argc == 3 && strcmp(command, "send") == 0)
		return send_lines(argv[2]);
	if (argc == 3 && strcmp(command, "recv") == 0)
		return receive_lines(argv[2]);
	if ((argc == 4 || argc == 5) && strcmp(command, "echo") == 0)
		return echo(argv[2], argv[3], argc == 5 ? count(argv[4]) : 0);
	if ((argc == 5 || argc == 6) && strcmp(command, "ping") == 0)
		return ping(argv[2], argv[3], count(argv[4]), argc == 6 ? count(argv[5]) : 0);
	if (argc == 5 && strcmp(command, "fill") == 0)
		return fill(argv[2], count(argv[3]), count(argv[4]));
	if (argc == 5 && strcmp(command, "drain") == 0)
		return drain(argv[2], count(argv[3]), count(argv[4]));
	if ((argc == 5 || argc == 6) && strcmp(command, "keep") == 0)
		return keep(argv[2], count(argv[3]), argv[4], argc == 6 ? argv[5] : NULL);
	if (argc == 6 && strcmp(command, "check-send") == 0)
		return check_send(argv[2], count(argv[3]), count(argv[4]), argv[5]);
	if (argc == 5 && strcmp(command, "check-recv") == 0)
		return check_receive(argv[2], count(argv[3]), argv[4]);
	fputs("usage: pk-ring send CHANNEL | recv CHANNEL | echo IN OUT [COUNT] | ping OUT IN COUNT [WAIT] |\n"
	      "       fill CHANNEL COUNT BYTES | drain CHANNEL COUNT BYTES |\n"
	      "       check-send CHANNEL COUNT LONGEST LEDGER | check-recv CHANNEL COUNT LEDGER |\n"
	      "       create PATH BYTES | keep NAME BYTES FILE [MEMORY]\n", stderr);
	return 2;
}

/*
 * pk-trial: what `pk prove containment` runs in kernels, and its bench beside them. The file it was started from is removed.
 *
 *   pk-trial probe PERIOD_US SECONDS [FILE [halt]]  a request every so often, due by the clock whatever became of the one before:
 *                                      some computing, memory, a pipe, a file in memory, and 4 KiB of FILE made durable unless it
 *                                      is `-`. `halt`: the kernel is powered off when the time is over and nobody came for it
 *   pk-trial fault NAME SECONDS [ARGUMENT]...       trouble, for so long at most; waits for a line of standard input first
 *
 * Standard output, a line each: `begin`; of a probe `r I US` (the request due at I periods was done US microseconds after that),
 * `x I ERRNO` (it failed), `c MS` (the wall clock, now and then); of a fault `w MS N` (so much work was done by then).
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/reboot.h>
#include <unistd.h>

#include "../common/numbers.h"
#include "trial.h"

#define LONGEST_S 3600

const char program_name[] = "pk-trial";

int main(int argc, char **argv)
{
	const char *command = argc > 1 ? argv[1] : "";

	/* In a kernel nobody else takes it away. Elsewhere it has another name. */
	if (strcmp(argv[0], "/run/pk-trial") == 0)
		unlink(argv[0]);
	if (argc >= 4 && argc <= 6 && strcmp(command, "probe") == 0) {
		const char *file = argc > 4 && strcmp(argv[4], "-") != 0 ? argv[4] : NULL;

		probe(number("PERIOD_US", argv[2], 10000000), number("SECONDS", argv[3], LONGEST_S), file);
		if (argc == 6 && strcmp(argv[5], "halt") == 0)
			reboot(RB_POWER_OFF);
		return 0;
	}
	if (argc >= 4 && strcmp(command, "fault") == 0)
		return fault(argv[2], number("SECONDS", argv[3], LONGEST_S), argv + 4, argc - 4);
	fputs("usage: pk-trial probe PERIOD_US SECONDS [FILE [halt]] | fault NAME SECONDS [ARGUMENT]...\n", stderr);
	return 2;
}

/* The arguments of pk-shim. */
#include "options.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "../common/fail.h"
#include "../common/numbers.h"
#include "console.h"
#include "descriptors.h"

#define MEMORY_MOST (64 << 20)

void read_options(int argc, char **argv, struct options *options)
{
	char *end;
	int at;

	*options = (struct options){.held = -1};
	for (at = 1; at < argc && strcmp(argv[at], "--") != 0; at += 2) {
		char *value = argv[at + 1];

		errno = 0;
		if (at + 1 >= argc)
			fail("%s wants a value", argv[at]);
		if (strcmp(argv[at], "--dir") == 0) {
			options->directory = value;
		} else if (strcmp(argv[at], "--log-bytes") == 0) {
			log_bytes = strtol(value, &end, 10);
			if (*end != 0 || log_bytes < 1)
				fail("--log-bytes: %s is not a number of bytes", value);
		} else if (strcmp(argv[at], "--cpus") == 0) {
			struct numbers cpus;

			if (parse_numbers(value, &cpus) != 0)
				fail("--cpus: %s is not a list of CPUs", value);
			if (sched_setaffinity(0, sizeof cpus, (cpu_set_t *)&cpus) != 0)
				fail("--cpus %s", value);
		} else if (strcmp(argv[at], "--fds") == 0) {
			options->passed.count = parse_list(argv[at], value, options->passed.fds, PASSED_MAX);
		} else if (strcmp(argv[at], "--hold") == 0) {
			parse_list(argv[at], value, &options->held, 1);
		} else if (strcmp(argv[at], "--packet") == 0) {
			options->packet = value;
		} else if (strcmp(argv[at], "--memory") == 0) {
			options->memory = strtol(value, &end, 10);
			if (*end != 0 || options->memory < 1 || options->memory > MEMORY_MOST)
				fail("--memory: %s is not a number of bytes", value);
		} else if (strcmp(argv[at], "--join") == 0) {
			if (options->join_count == JOINS_MAX)
				fail("--join: too many");
			options->joins[options->join_count++] = value;
		} else {
			fail("unknown option %s", argv[at]);
		}
	}
	errno = 0;
	if (options->directory == NULL || at + 1 >= argc)
		fail("usage: pk-shim --dir DIR [--log-bytes N] [--cpus LIST] [--fds LIST] [--hold FD] [--packet NAMESPACE,INTERFACE,PEER] "
		     "[--memory BYTES] [--join PATH].. -- PROGRAM ARG...");
	options->program = argv + at + 1;
}

#ifndef PK_SHIM_OPTIONS_H
#define PK_SHIM_OPTIONS_H

#include "descriptors.h"

#define JOINS_MAX 4

struct options {
	const char *directory, *joins[JOINS_MAX];
	char *packet, **program;
	struct passed passed;
	int join_count, held;
	long memory;
};

void read_options(int argc, char **argv, struct options *options);

#endif

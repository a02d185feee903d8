#ifndef PK_CELL_MOUNTS_H
#define PK_CELL_MOUNTS_H

#include <stdint.h>
#include <stdio.h>

#define MOUNTS_MAX 4096

/* A line of mountinfo. Path and type are good until the next. */
struct mounted {
	uint64_t number, parent;
	char *path;
	const char *type;
};

FILE *open_mounts(void);
/* Whether there was one more. */
int next_mount(FILE *file, struct mounted *mounted);
int is_kernel_interface(const char *type);

#endif

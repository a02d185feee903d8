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

/*
 * Each name that is looked for there is told to a program of the host, which has the host's network: with /net it asks for a machine of that
 * name. What lies on top of one is shown.
 */
int is_automounter(const char *type);

#endif

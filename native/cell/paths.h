#ifndef PK_CELL_PATHS_H
#define PK_CELL_PATHS_H

#include <stdint.h>

/* What is asked of the kernel alone, never of a file system that may not answer. */
struct glance {
	unsigned type; /* as in st_mode */
	uint64_t mount; /* as in mountinfo; 0 before Linux 5.8 */
};

int glance_at(int fd, struct glance *glance);
int open_path(const char *path, int *sheltered);
int is_below(const char *path, const char *directory);

#endif

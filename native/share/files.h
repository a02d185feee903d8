#ifndef PK_SHARE_FILES_H
#define PK_SHARE_FILES_H

#include <sys/stat.h>

#include "nodes.h"

/* Generations of one path that can be open at once: of a file that the host replaces while the guest reads it. */
#define MOUNTS 16
#define NAMES 0    /* the mount for names and attributes */
#define LISTINGS 1 /* and that for directories */

extern int mounts[MOUNTS];
extern const char *mount_source, mount_place[];

int mount_root(int index);
int look(const char *path, struct stat *st);
int same_time(struct timespec a, struct timespec b);
void remember(struct node *node, const struct stat *st);
int is_it(const struct node *node, const struct stat *st);
int attributes_of(struct node *node, struct stat *st);
void take_place(struct node *node, uint64_t place, int mount);
uint64_t place_of(const char *path);
int open_afresh(const char *path, uint64_t place, int flags, mode_t mode, int *mount);
int open_node(struct node *node, int flags);
void close_node(struct node *node);
void freshen(struct node *node);

#endif

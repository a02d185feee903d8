#ifndef PK_CELL_TREES_H
#define PK_CELL_TREES_H

#include <sys/types.h>

#define TREES_MAX 64
#define SKIPS_MAX 1024
#define STAGE "trees"

struct tree {
	const char *name, *access, *mapping, *expected, *path;
	dev_t device; /* what was found there, */
	ino_t inode; /* by check_tree */
};

extern struct tree trees[TREES_MAX];
extern const char *skips[SKIPS_MAX], *covers[SKIPS_MAX];
extern char stage[4096];
extern int tree_count, skip_count, cover_count, report_fd;
/* Ids of the guest on the host; count 0 = it has none of its own. */
extern unsigned long base, count;

void check_tree(struct tree *tree);
int clone_mount(const struct tree *tree, const char *path, int fd, int userns, int flags);
void report(const struct tree *tree, const char *path, const char *reason);
char *staged(const struct tree *tree, const char *below);
int move_to(int clone, int target);
void attach(const struct tree *tree, int clone, const char *below);
void show(const struct tree *tree, int guest);

#endif

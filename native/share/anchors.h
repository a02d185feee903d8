/* Where paths begin: directories with mounts of their own. See anchors.c. */
#ifndef PK_SHARE_ANCHORS_H
#define PK_SHARE_ANCHORS_H

#include <limits.h>
#include <stdint.h>

#include "nodes.h"

/* Generations of one path that can be open at once: of a file that the host replaces while the guest reads it. */
#define MOUNTS 16
#define NAMES 0    /* the mount for names and attributes */
#define LISTINGS 1 /* and that for directories */

struct anchor {
	struct node *node;  /* NULL: nobody's */
	uint64_t recent;    /* when it was used last, */
	uint64_t request;   /* and for which request */
	uint32_t serial;    /* no other has had it */
	int number;         /* the VMM's descriptor of the directory */
	int fd;             /* ours, which keeps that open */
	int hand;           /* see make.c; 0 = not made yet */
	int mounts[MOUNTS]; /* 0 = not made yet */
};

/* A file: its path from an anchor. */
struct where {
	struct anchor *anchor;
	char path[PATH_MAX];
};

extern const char *mount_source, mount_place[];
extern uint64_t request_number;
extern uint32_t anchors_left;

int mount_anew(const char *source);
int mount_of(struct anchor *anchor, int index);
int anchor_root(struct node *root);
void leave_anchor(struct node *node);
int locate(struct node *parent, const char *leaf, struct where *to);
int where_is(const struct node *node, struct where *to);
int together(struct node *from_parent, const char *from_leaf, struct node *to_parent, const char *to_leaf, struct where *from, struct where *to);

#endif

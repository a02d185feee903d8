#ifndef PK_SHARE_FILES_H
#define PK_SHARE_FILES_H

#include <sys/stat.h>

#include "anchors.h"
#include "nodes.h"

int look(const struct where *at, struct stat *st);
int same_time(struct timespec a, struct timespec b);
void remember(struct node *node, const struct stat *st);
int is_it(const struct node *node, const struct stat *st);
int attributes_of(struct node *node, struct stat *st);
void take_place(struct node *node, uint64_t place, int mount);
uint64_t place_of(const struct where *at);
int open_afresh(const struct where *at, uint64_t place, int flags, mode_t mode, int *mount);
int open_node(struct node *node, int flags);
int open_again(struct node *directory);
void close_node(struct node *node);
void freshen(struct node *node);

#endif

#ifndef PK_CELL_BELOW_H
#define PK_CELL_BELOW_H

#include "trees.h"

void show_mounts_below(const struct tree *tree, int userns);

#endif

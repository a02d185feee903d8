#ifndef PK_CELL_COVER_H
#define PK_CELL_COVER_H

#include "trees.h"

void cover(const struct tree *tree, const char *below);
void cover_interfaces(const struct tree *tree);

#endif

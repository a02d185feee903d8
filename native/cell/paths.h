#ifndef PK_CELL_PATHS_H
#define PK_CELL_PATHS_H

int open_path(const char *path, int *sheltered);
int is_below(const char *path, const char *directory);

#endif

#ifndef PK_INIT_FILES_H
#define PK_INIT_FILES_H

#include <fcntl.h>

int make_directory(const char *path, mode_t mode);
int write_file(const char *path, const char *text);

#endif

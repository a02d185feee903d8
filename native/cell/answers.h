#ifndef PK_CELL_ANSWERS_H
#define PK_CELL_ANSWERS_H

/* Whether a file system of this type asks somebody outside of this machine's kernel, who may never answer. */
int may_be_silent(const char *type);
/* open_path() for what may be silent: -1 with ETIMEDOUT when it does not answer. */
int open_path_in_time(const char *path);

#endif

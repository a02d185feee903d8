#ifndef PK_INIT_PARTIAL_H
#define PK_INIT_PARTIAL_H

#include <sys/types.h>

/*
 * A new file in the directory `parent`, which stays open, under a name that says that it is not whole; -1 and errno. There is one at a
 * time. $PK_COPY is of this instance alone, and of its kernels one runs at a time: with the number that this process has it makes a name
 * that, where it is there already, a kernel has left that died.
 */
int partial_open(int parent, mode_t mode);

/* It is whole, and gets its name. 0, or -1 and errno. */
int partial_name(const char *name);

/* It goes, where there is one. */
void partial_forget(void);

#endif

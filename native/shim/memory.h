#ifndef PK_SHIM_MEMORY_H
#define PK_SHIM_MEMORY_H

/* Our own descriptor of the memory that we share with the program; docs/shim.md says it to the daemon. */
#define MEMORY_FD 100

int share_memory(long bytes);

#endif

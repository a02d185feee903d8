#ifndef PK_SHIM_MEMORY_H
#define PK_SHIM_MEMORY_H

int share_memory(long bytes);

#endif

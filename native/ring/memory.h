#ifndef PK_RING_MEMORY_H
#define PK_RING_MEMORY_H

#include <stdint.h>

int create(const char *path, uint32_t data);
int keep(const char *name, uint32_t data, const char *file, const char *memory);

#endif

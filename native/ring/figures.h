#ifndef PK_RING_FIGURES_H
#define PK_RING_FIGURES_H

#include <stdint.h>

int echo(const char *from, const char *to, uint32_t count);
int ping(const char *to, const char *from, uint32_t count, uint32_t wait_us);
int fill(const char *name, uint32_t count, uint32_t bytes);
int drain(const char *name, uint32_t count, uint32_t bytes);

#endif

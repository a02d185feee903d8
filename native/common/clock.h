/* The time since the machine booted, by which deadlines are kept: no time server steps it. */
#ifndef PK_CLOCK_H
#define PK_CLOCK_H

#include <stdint.h>

uint64_t now_ns(void);
uint64_t now_ms(void);

#endif

/* When this process was started, in clock ticks since the machine booted: with the pid it names this process for good. */
#ifndef PK_START_TIME_H
#define PK_START_TIME_H

#include <stdint.h>

/* Field 22 of /proc/self/stat; 0 when there is no /proc. */
uint64_t own_start_time(void);

#endif

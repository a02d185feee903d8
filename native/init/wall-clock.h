#ifndef PK_INIT_WALL_CLOCK_H
#define PK_INIT_WALL_CLOCK_H

#include "bytes.h"

int step_clock(const char *text);
int slew_clock(const char *text);
void tell_time(u32 request);

#endif

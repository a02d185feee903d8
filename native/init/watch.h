#ifndef PK_INIT_WATCH_H
#define PK_INIT_WATCH_H

#include "bytes.h"

extern u64 watch_due; /* 0: no watch */

void watch(u8 *p, u32 n);
void watch_turn(u64 now);

#endif

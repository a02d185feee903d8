#ifndef PK_INIT_WORKERS_H
#define PK_INIT_WORKERS_H

#include "bytes.h"

extern u64 workers_due; /* 0: they are as always */

int prefer_workers(const char *milliseconds);
void workers_turn(u64 now);

#endif

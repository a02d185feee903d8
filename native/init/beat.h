#ifndef PK_INIT_BEAT_H
#define PK_INIT_BEAT_H

#include "bytes.h"

extern u64 beat_due; /* UINT64_MAX: nobody looks */

void beat_in(u32 *word);
int feed_watchdog(const char *seconds);
void beat_turn(u64 now);

#endif

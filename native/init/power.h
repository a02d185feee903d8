#ifndef PK_INIT_POWER_H
#define PK_INIT_POWER_H

#include <signal.h>

#include "bytes.h"

extern u64 poweroff_due;
extern u32 poweroff_stage, poweroff_how;

void poweroff(u32 grace, u32 how);
void poweroff_turn(u64 now);
void poweroff_signals(sigset_t *set); /* adds them */
void poweroff_asked(void);

#endif

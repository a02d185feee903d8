#ifndef PK_INIT_KERNEL_LOG_H
#define PK_INIT_KERNEL_LOG_H

#include "bytes.h"

extern int kernel_log;
extern u64 log_rest; /* until then the log is not looked at: it has just been read */
extern u64 trouble_due; /* when there is something to tell; 0: there is nothing */
extern u32 kills; /* processes that the kernel killed for want of memory */
extern char last_killed[64];

void kernel_log_open(void);
void kernel_log_read(void);
void kernel_log_turn(u64 now);

#endif

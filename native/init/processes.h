#ifndef PK_INIT_PROCESSES_H
#define PK_INIT_PROCESSES_H

#include "bytes.h"

extern int childless;
extern int kernel_log; /* read for processes that the kernel killed for want of memory: the last of them, and how many */
extern u32 kills;

void kernel_log_read(void);
int others(int number);
void reap(void);

#endif

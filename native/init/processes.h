#ifndef PK_INIT_PROCESSES_H
#define PK_INIT_PROCESSES_H

#include "bytes.h"

extern int childless;

int others(int number);
void reap(void);

#endif

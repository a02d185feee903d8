#ifndef PK_INIT_INODES_H
#define PK_INIT_INODES_H

#include <stdint.h>

extern long inodes_most; /* 0: however many */
extern uint64_t inodes_due;

void inodes_turn(uint64_t now);

#endif

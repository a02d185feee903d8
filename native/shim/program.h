#ifndef PK_SHIM_PROGRAM_H
#define PK_SHIM_PROGRAM_H

#include <stdint.h>
#include <sys/types.h>

#include "descriptors.h"

extern int signals;
extern pid_t program;
extern int ended, status;
extern uint64_t end_deadline;

void kill_program(void);
void reap(void);
void start_program(char **argv, const struct passed *passed, mode_t mask);
void open_group(const char *path);

/*
 * Whether the host has killed a process of the program because its group of version 1 was full. In version 2 it kills all of them
 * (memory.oom.group).
 */
int tells_of_shortage(void);
int was_short(void);

#endif

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

#endif

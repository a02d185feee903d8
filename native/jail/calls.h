#ifndef PK_JAIL_CALLS_H
#define PK_JAIL_CALLS_H

#include <sys/types.h>

extern int console_socket;

/* The VMM, whose open files are few until it has its console. */
extern pid_t vmm_with_few_files;

/* It is to make no more processes with descriptors of their own, and may have as many as it was given. */
void settle(void);

extern int console_pair[2];

void make_console(void);

void serve_call(int listener);

#endif

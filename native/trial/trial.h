/* What the parts of pk-trial share. */
#ifndef PK_TRIAL_H
#define PK_TRIAL_H

#include <stdint.h>

/* Does a request every `period_us` for so many seconds, and tells how long each took. `file`: one on a disk to write to, or NULL. */
void probe(unsigned long period_us, unsigned long seconds, const char *file);

/* Brings about the trouble called `name`, for so many seconds at most. */
int fault(const char *name, unsigned long seconds, char **arguments, int count);

/* Says that all is ready, and waits for a line of standard input. */
void await_go(void);

/* Tells of work done so far, `since` (of now_ns), at most every so often. */
void tell_work(uint64_t since, uint64_t done);

/* As many CPUs as are online. */
int cpu_count(void);

#endif

#ifndef PK_SHIM_CONSOLE_H
#define PK_SHIM_CONSOLE_H

#include <stdint.h>

#include "buffer.h"

extern struct buffer console_in;
extern int console;
extern long log_bytes; /* of a log, before another is begun */

void log_open(void);
void pump_console(void);
/* Milliseconds until more of it is to be taken; 0 = at once. */
int console_rest(uint64_t now);

#endif

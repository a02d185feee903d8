#ifndef PK_SHIM_CONSOLE_H
#define PK_SHIM_CONSOLE_H

#include "buffer.h"

extern struct buffer console_in;
extern int console;
extern long log_bytes; /* of a log, before another is begun */

void log_open(void);
void pump_console(void);

#endif

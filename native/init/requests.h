#ifndef PK_INIT_REQUESTS_H
#define PK_INIT_REQUESTS_H

#include "bytes.h"

extern int greeted; /* by a host, since when it gets acknowledgements */
extern int wide, bare, hears_trouble; /* what it said of itself; bare: frames of bulk data have no sum, on a line that loses nothing */

void send_hello(u32 nonce, u32 listed);
void line_parse(void);

#endif

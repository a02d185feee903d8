#ifndef PK_INIT_REQUESTS_H
#define PK_INIT_REQUESTS_H

#include "bytes.h"

extern int greeted; /* by a host, since when it gets acknowledgements */
extern int wide, bare, hears_trouble; /* what it said of itself; bare: frames of bulk data have no sum, on a line that loses nothing */
extern int parse_waits; /* for room for the answers to what has come */

void send_hello(u32 nonce);
void line_parse(void);

#endif

#ifndef PK_RING_LINES_H
#define PK_RING_LINES_H

#include <stdint.h>

int send_lines(const char *name);
int receive_lines(const char *name);

#endif

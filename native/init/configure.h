#ifndef PK_INIT_CONFIGURE_H
#define PK_INIT_CONFIGURE_H

#include "bytes.h"

extern int seeded; /* the random number generator, by the host */

const char *boot_id(void);
char *next_pair(u8 **at, u8 *end, char **value);
void configure(u32 request, u8 *p, u32 n);

#endif

#ifndef PK_INIT_BALLOON_H
#define PK_INIT_BALLOON_H

#include <stddef.h>

/* Of 256 pages that all lie apart: "frame+count," in hexadecimal. */
enum { BALLOON_ANSWER = 256 * 12 + 32 };

int set_balloon(const char *value, char *answer, size_t size);

#endif

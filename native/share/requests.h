#ifndef PK_SHARE_REQUESTS_H
#define PK_SHARE_REQUESTS_H

#include <stddef.h>

int serve(const unsigned char *bytes, size_t length);

#endif

#ifndef PK_INIT_TRANSFER_H
#define PK_INIT_TRANSFER_H

#include "bytes.h"

void file_session(u32 id, u8 *p, u32 n, int put);

#endif

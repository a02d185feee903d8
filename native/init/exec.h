#ifndef PK_INIT_EXEC_H
#define PK_INIT_EXEC_H

#include "bytes.h"

void exec_session(u32 id, u8 *p, u32 n);

#endif

#ifndef PK_INIT_BELLS_H
#define PK_INIT_BELLS_H

#include "bytes.h"

extern int bell_fifo;
extern const char bell_page[], bell_path[], channel_dir[];

int channels_begin(void);
void bell_in(u32 slot);
void bells_out(void);

#endif

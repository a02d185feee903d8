#ifndef PK_INIT_FRAMES_H
#define PK_INIT_FRAMES_H

#include <stddef.h>

#include "bytes.h"

/* How full the buffer of frames towards the host may be for which of them to be made. See INVARIANTS in main.c. */
enum { OUT_DATA = 64 * 1024, OUT_SNAP = 128 * 1024, OUT_PARSE = 256 * 1024, OUT_SIZE = 320 * 1024 };

extern u8 out[OUT_SIZE];
extern u32 out_pos, out_len;

u32 out_used(void);
u8 *frame_space(void);
void frame_done(u8 type, u8 flags, u32 session, u32 length);
void frame_head(u8 type, u32 session, u32 length);
void frame(u8 type, u8 flags, u32 session, const void *payload, u32 length);
void frame32(u8 type, u32 session, u32 value);
void frame_text(u8 type, u32 session, u32 a, int b, const char *text);

#endif

#ifndef PK_INIT_STREAMS_H
#define PK_INIT_STREAMS_H

#include "bytes.h"
#include "sessions.h"

extern u64 flow_due; /* 0: never */

u32 stdin_most(void);
void session_feed(struct session *s);
void session_stdin(struct session *s, u8 *p, u32 n, u8 flags);
void stdin_flush(void);
void output_close(struct session *s, int i);
void output_pump(struct session *s, int i, u64 now);
void flow_turn(u64 now);
void flow_end(void);

#endif

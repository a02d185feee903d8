#ifndef PK_INIT_SESSIONS_H
#define PK_INIT_SESSIONS_H

#include <sys/types.h>

#include "bytes.h"
#include "protocol.h"

enum { SESSIONS = 64 };

struct session {
	u32 id;             /* 0: the slot is free */
	pid_t pid;          /* 0: a file transfer, or never started */
	int in, out[2];     /* our ends of stdin, stdout and stderr; -1 closed. A pty has in and out[0] */
	int polled[2];      /* the places of the outputs in what this turn has waited for; 0: not there */
	u8 empty[2];        /* nothing was there */
	u8 tty, ended, forgotten, reported, in_eof, eof_sent[2];
	u32 kind, value;    /* how it ended, once `ended` */
	u32 credit;         /* bytes of output the host will take */
	u32 in_len, in_pos; /* what waits in `buffer` for the process */
	u32 freed;          /* stdin bytes taken by the process, not yet credited to the host */
	u64 sent[2], came;  /* bytes of output that are on their way to a host or lost with one, and of stdin that came */
	u64 deadline;       /* forgotten: SIGKILL; ended: stop waiting for descendants */
	int budget[2];      /* after that deadline: bytes still to be forwarded; -1 no limit */
	const char *why;
	u32 kills;          /* how many processes the kernel had killed when it began */
	char killed[64];
	u8 buffer[BARE_STDIN];
};

extern struct session sessions[SESSIONS], *sessions_end; /* behind the last that was ever used: each is far from the next */

struct session *session_find(u32 id);
struct session *session_new(u32 id);
void session_end(struct session *s, u32 kind, u32 value, const char *why);
void session_forget(struct session *s);
void session_turn(struct session *s, u64 now);

#endif

/* Frames from the host: found in what came, put together where a message has several, and given to what carries them out. */
#include "requests.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/utsname.h>

#include "../common/crc.h"
#include "bells.h"
#include "bytes.h"
#include "configure.h"
#include "exec.h"
#include "frames.h"
#include "line.h"
#include "power.h"
#include "protocol.h"
#include "sessions.h"
#include "streams.h"
#include "transfer.h"
#include "wall-clock.h"
#include "watch.h"

static u8 message[MESSAGE];
static u32 message_len, message_session;
static u8 message_type, message_bad; /* type 0: no split message is under way */
int greeted; /* by a host, since when it gets acknowledgements */
int parse_waits;
int wide, bare, hears_trouble; /* what it said of itself */

void send_hello(u32 nonce)
{
	u8 p[512];
	struct utsname name;
	cpu_set_t set;
	uname(&name);
	int cpus = sched_getaffinity(0, sizeof set, &set) ? 1 : CPU_COUNT(&set), n = 8;
	put16(p, VERSION), put16(p + 2, 0), put32(p + 4, nonce);
	n += snprintf((char *)p + n, 200, "release=%s", name.release) + 1;
	n += snprintf((char *)p + n, 50, "cpus=%d", cpus) + 1;
	n += snprintf((char *)p + n, 50, "window=%u", line_window()) + 1;
	n += snprintf((char *)p + n, 50, "payload=%u", longest_payload()) + 1;
	n += snprintf((char *)p + n, 50, "stdin=%u", stdin_most()) + 1;
	n += snprintf((char *)p + n, 50, "slots=%u", slots) + 1;
	if (!line_tty) n += snprintf((char *)p + n, 50, "bare=%d", BARE_IN) + 1;
	n += snprintf((char *)p + n, 50, "archives=1") + 1;
	n += snprintf((char *)p + n, 50, "detaches=1") + 1;
	if (nonce && seeded) n += snprintf((char *)p + n, 100, "boot-id=%s", boot_id()) + 1;
	frame(G_HELLO, 0, 0, p, (u32)n);
}

static void hello(u32 nonce, u32 abilities, u32 unparsed)
{
	u8 p[16 + sizeof sessions->killed];
	wide = abilities & WIDE, bare = !line_tty && abilities & TAKES_BARE, hears_trouble = abilities & HEARS_TROUBLE, slots_in = slots_free = slots_out = slots_taken = 0;
	port_alone();
	line_base = line_read - unparsed, line_acked = 0, greeted = 1, message_type = 0, watch_due = 0;
	for (struct session *s = sessions; s < sessions_end; s++) {
		if (!s->id || s->forgotten) continue;
		s->credit = 0;
		u32 length = wide && s->ended ? (u32)strlen(s->killed) : 0;
		put32(p, s->reported), put32(p + 4, (u32)s->pid), put32(p + 8, s->kind), put32(p + 12, s->value);
		memcpy(p + 16, s->killed, length);
		frame(G_SESSION, 0, s->id, p, 16 + length);
		if (!(abilities & COUNTS)) continue;
		put64(p, s->sent[0]), put64(p + 8, s->sent[1]), put64(p + 16, s->came);
		frame(G_COUNT, 0, s->id, p, 24);
	}
	send_hello(nonce);
	for (struct session *s = sessions; s < sessions_end; s++) {
		if (!s->id || s->forgotten || s->ended) continue;
		s->freed = 0;
		u32 held = s->in_len - s->in_pos, most = stdin_most();
		frame32(G_CREDIT, s->id, held < most ? most - held : 0);
	}
}

static void dispatch(u8 type, u8 flags, u32 id, u8 *p, u32 n, u32 unparsed)
{
	struct session *s = session_find(id);
	switch (type) {
	case H_HELLO: if (n == 8 && get32(p + 4)) hello(get32(p + 4), get16(p + 2), unparsed); break;
	case H_TAKEN: if (n == 4 && get32(p) - slots_taken <= slots_out - slots_taken) slots_taken = get32(p); break;
	case H_CONFIGURE: configure(id, p, n); break;
	case H_EXEC: exec_session(id, p, n); break;
	case H_PUT: file_session(id, p, n, 1); break;
	case H_GET: file_session(id, p, n, 0); break;
	case H_WATCH: watch(p, n); break;
	case H_STDIN:
		if (flags & MEMORY) {
			if (!shared || n != 4 || get32(p) > SLOT) break;
			n = get32(p), p = shared + slots_in++ % slots * SLOT;
		}
		if (s) session_stdin(s, p, n, flags);
		break;
	case H_SIGNAL: if (s && n == 4 && s->pid && !s->ended && get32(p) < 65) kill(-s->pid, (int)get32(p)); break;
	case H_RESIZE:
		if (s && n == 4 && s->tty && s->out[0] >= 0) {
			struct winsize size = {.ws_row = (unsigned short)get16(p), .ws_col = (unsigned short)get16(p + 2)};
			ioctl(s->out[0], TIOCSWINSZ, &size);
		}
		break;
	case H_CREDIT: if (s && n == 4 && get32(p) <= (bare ? BARE_OUT : OUTPUT_CREDIT) && s->credit < (1u << 30)) s->credit += get32(p); break;
	case H_FORGET: if (s) session_forget(s); break;
	case H_BELL: bell_in(id); break;
	case H_TIME: tell_time(id); break;
	case H_POWEROFF: if (n == 8) poweroff(get32(p), get32(p + 4)); break;
	}
}

static void frame_in(u8 type, u8 flags, u32 id, u8 *p, u32 n, u32 unparsed)
{
	int splits = type == H_CONFIGURE || type == H_EXEC || type == H_WATCH || type == H_PUT || type == H_GET;
	int goes_on = message_type && message_type == type && message_session == id;
	if (!splits || (!(flags & MORE) && !goes_on)) {
		dispatch(type, flags, id, p, n, unparsed);
		return;
	}
	if (!goes_on) message_type = type, message_session = id, message_len = 0, message_bad = 0;
	if (n > MESSAGE - message_len) message_bad = 1;
	if (!message_bad) memcpy(message + message_len, p, n), message_len += n;
	if (flags & MORE) return;
	message_type = 0;
	if (!message_bad) dispatch(type, flags, id, message, message_len, unparsed);
	else if (type == H_CONFIGURE) frame_text(G_RESULT, id, E2BIG, -1, "message");
	else if (type != H_WATCH) frame_text(G_EXITED, id, EXIT_NOT_STARTED, E2BIG, "message");
}

/* How many bytes the frame at `p` has. 0: none begins there. */
static u32 frame_size(const u8 *p)
{
	u32 n = get32(p + 8);
	if (p[0] != 'P' || p[1] != 'K') return 0;
	if (p[3] & BARE) return bare && p[2] == H_STDIN && n <= BARE_IN && crc(0, p, 12) == get32(p + 12) ? HEADER + n + BARE_END : 0;
	return n <= longest_payload() ? HEADER + n : 0;
}

/* Whether all of it is what was sent: of a bare one, whether it was sent to its end. */
static int is_sound(const u8 *p)
{
	u32 n = get32(p + 8), sum = get32(p + 12);
	return p[3] & BARE ? get32(p + HEADER + n) == sum : crc(crc(0, p, 12), p + HEADER, n) == sum;
}

void line_parse(void)
{
	while (in_len - in_pos >= HEADER && out_used() < OUT_PARSE) {
		u8 *p = in + in_pos;
		u32 size = frame_size(p);
		if (!size) {
			u8 *next = memchr(p + 1, 'P', in_len - in_pos - 1);
			in_pos = next ? (u32)(next - in) : in_len;
			continue;
		}
		if (in_len - in_pos < size) break;
		in_pos += size;
		/*
		 * One that a host began and did not end: it is made up by the next host's zeros, which are as many as the longest has. None is
		 * looked for in it, for what it carries somebody gave to a process, and no host has sent.
		 */
		if (!is_sound(p)) continue;
		if (p[2] != H_STDIN) stdin_flush();
		frame_in(p[2], p[3] & (u8)~BARE, get32(p + 4), p + HEADER, get32(p + 8), in_len - in_pos);
	}
	stdin_flush();
	parse_waits = in_len - in_pos >= HEADER && out_used() >= OUT_PARSE;
	if (in_pos == in_len) in_pos = in_len = 0;
	if (in_pos + LONGEST_IN <= sizeof in) return;
	memmove(in, in + in_pos, in_len - in_pos); /* so that the next one fits */
	in_len -= in_pos, in_pos = 0;
}

/* Moves the bytes of a session: from the host to its process, and what that says back to the host. */
#include "streams.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "../common/descriptor.h"
#include "bytes.h"
#include "frames.h"
#include "line.h"
#include "protocol.h"
#include "requests.h"
#include "sessions.h"

/* Bytes of input that a session holds for its process: what the host has been told. */
u32 stdin_most(void) { return bare ? BARE_STDIN : STDIN_CREDIT; }

/* Hands buffered stdin to the process. One that has closed its stdin loses the rest, so the host never waits for it. */
void session_feed(struct session *s)
{
	while (s->in >= 0 && s->in_pos < s->in_len) {
		ssize_t n = write(s->in, s->buffer + s->in_pos, s->in_len - s->in_pos);
		if (n < 0 && (errno == EAGAIN || errno == EINTR)) break;
		if (n < 0) {
			int error = errno, file = !s->pid;
			close_fd(&s->in);
			if (file) session_end(s, EXIT_NOT_STARTED, (u32)error, "write");
			break;
		}
		s->in_pos += (u32)n, s->freed += (u32)n;
	}
	if (s->in < 0) s->freed += s->in_len - s->in_pos, s->in_pos = s->in_len;
	if (s->in_pos == s->in_len) s->in_pos = s->in_len = 0;
	if (!s->in_len && s->in_eof && s->in >= 0 && !(s->tty && s->in_eof == 2)) {
		if (s->tty) { /* a terminal has no end of file; the end-of-file character is what a person would type */
			if (write(s->in, "\4", 1) == 1) s->in_eof = 2;
		} else {
			int file = !s->pid;
			close_fd(&s->in);
			if (file) session_end(s, EXIT_CODE, 0, "");
		}
	}
	if (s->freed && !s->ended && (s->freed >= stdin_most() / 4 || (!bare && !s->in_len))) frame32(G_CREDIT, s->id, s->freed), s->freed = 0;
}

static void keep(struct session *s, const u8 *p, u32 n)
{
	if (s->in_pos && s->in_len + n > sizeof s->buffer) {
		memmove(s->buffer, s->buffer + s->in_pos, s->in_len - s->in_pos);
		s->in_len -= s->in_pos, s->in_pos = 0;
	}
	if (n > sizeof s->buffer - s->in_len) n = sizeof s->buffer - s->in_len; /* more than the host had credit for */
	memcpy(s->buffer + s->in_len, p, n);
	s->in_len += n;
}

/* Input for one session that came at once: its process, which the first byte wakes, is to find all of it. */
static struct iovec came[8];
static int pieces;
static struct session *came_for;

/* Hands over what came. What lies in `came` stands where it was received: it must be called before that is used again. */
void stdin_flush(void)
{
	struct session *s = came_for;
	struct iovec *p = came, *end = came + pieces;
	came_for = NULL, pieces = 0;
	if (!s) return;
	/* What the process takes at once is not copied; session_feed tells of errors. */
	for (ssize_t n; p < end && !s->in_len && s->in >= 0 && (n = writev(s->in, p, (int)(end - p))) > 0;) {
		s->freed += (u32)n;
		for (; p < end && (size_t)n >= p->iov_len; p++) n -= (ssize_t)p->iov_len;
		if (n) p->iov_base = (u8 *)p->iov_base + n, p->iov_len -= (size_t)n;
	}
	for (; p < end; p++) keep(s, p->iov_base, (u32)p->iov_len);
	session_feed(s);
}

void session_stdin(struct session *s, u8 *p, u32 n, u8 flags)
{
	if (s->in_eof || s->ended) return;
	if (came_for != s || pieces == sizeof came / sizeof *came) stdin_flush();
	came_for = s, s->came += n;
	if (n) came[pieces++] = (struct iovec){p, n};
	if (flags & FIN) {
		s->in_eof = 1;
		stdin_flush();
	}
}
void output_close(struct session *s, int i)
{
	close_fd(&s->out[i]);
	if (!s->eof_sent[i]) frame((u8)(G_STDOUT + i), FIN, s->id, NULL, 0);
	s->eof_sent[i] = 1;
}

/* Forwards output while credit and room last; closes at the end, at an error, or when descendants linger too long. */
void output_pump(struct session *s, int i, u64 now)
{
	int waiting = 0;
	if (s->out[i] < 0) return;
	if (s->ended && s->pid && now >= s->deadline && s->budget[i] < 0) {
		if (s->tty || ioctl(s->out[i], FIONREAD, &s->budget[i])) s->budget[i] = OUTPUT_CREDIT;
	}
	for (int turn = 0; turn < 4 && s->out[i] >= 0; turn++) {
		u32 longest = wide ? shared ? SLOT : OUT_PAYLOAD : OLD_PAYLOAD;
		u32 most = s->credit < longest ? s->credit : longest;
		if (s->budget[i] >= 0 && (u32)s->budget[i] < most) most = (u32)s->budget[i];
		if (s->budget[i] == 0 || (!most && s->ended && !s->tty && !ioctl(s->out[i], FIONREAD, &waiting) && !waiting && now >= s->deadline)) {
			output_close(s, i);
			return;
		}
		u8 *space = most && !carried && out_used() < OUT_DATA && !slots_full() ? frame_space() : NULL;
		if (!space) return;
		/* Memory that the host has too costs one copy more than moving pages to a port, and no work of the host's for each page. */
		if (bare && !shared && s->pid && !s->tty && !ioctl(s->out[i], FIONREAD, &waiting) && waiting >= BARE_LEAST) {
			u32 n = s->budget[i] >= 0 && s->budget[i] < waiting ? (u32)s->budget[i] : (u32)waiting;
			n = line_carry(s->out[i], (u8)(G_STDOUT + i), s->id, n < s->credit ? n : s->credit);
			s->credit -= n, s->sent[i] += n;
			if (s->budget[i] >= 0) s->budget[i] -= (int)n;
			if (n) continue;
		}
		u8 *slot = longest == SLOT ? shared + (slots + slots_out % slots) * SLOT : NULL;
		ssize_t n = read(s->out[i], slot ? slot : space, most);
		if (n > 0) {
			if (slot && n >= SLOT_LEAST) {
				put32(space, (u32)n), slots_out++;
				frame_done((u8)(G_STDOUT + i), MEMORY, s->id, 4);
			} else {
				if (slot) memcpy(space, slot, (size_t)n);
				frame_done((u8)(G_STDOUT + i), 0, s->id, (u32)n);
			}
			s->credit -= (u32)n, s->sent[i] += (u32)n;
			if (s->budget[i] >= 0) s->budget[i] -= (int)n;
		} else if (n < 0 && errno == EINTR) continue;
		else if (n < 0 && errno == EAGAIN) {
			if (s->budget[i] >= 0) output_close(s, i);
			return;
		} else { /* end of file; for a pty EIO means the same */
			int error = n < 0 && !s->tty ? errno : 0, file = !s->pid;
			output_close(s, i);
			if (file) session_end(s, error ? EXIT_NOT_STARTED : EXIT_CODE, (u32)error, error ? "read" : "");
		}
	}
}

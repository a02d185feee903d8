/* Moves the bytes of a session: from the host to its process, and what that says back to the host. */
#include "streams.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "../common/clock.h"
#include "../common/descriptor.h"
#include "bytes.h"
#include "frames.h"
#include "line.h"
#include "protocol.h"
#include "requests.h"
#include "sessions.h"

enum { FLOW_LEAST = 32768, FLOW_MS = 20, FLOW_NICE = -10 };

u64 flow_due; /* when to look whether much still passes; 0: it does not */
static int flows;

/*
 * While much passes, the agent does not take the CPU from the process at the other end the moment that this has written or read something:
 * either goes on until its pipe is full or empty. Each time that one is switched for the other, an emulated CPU forgets where all memory is.
 */
static void flow(u32 bytes)
{
	if (bytes < FLOW_LEAST) return;
	flows = 1;
	if (!flow_due) flow_turn(now_ms());
}

static void schedule(int policy, int nice)
{
	syscall(SYS_sched_setscheduler, 0, policy, &(struct sched_param){0}); /* not every C library has it */
	setpriority(PRIO_PROCESS, 0, nice);
}

void flow_turn(u64 now)
{
	if (now < flow_due || (!flow_due && !flows)) return;
	if (!flow_due) schedule(SCHED_BATCH, FLOW_NICE);
	else if (!flows) schedule(SCHED_OTHER, 0);
	flow_due = flows ? now + FLOW_MS : 0, flows = 0;
}

/* Until more passes: what is started now begins as everything does. */
void flow_end(void)
{
	if (flow_due) schedule(SCHED_OTHER, 0);
	flow_due = 0, flows = 0;
}

/* Bytes of input that a session holds for its process: what the host has been told. */
u32 stdin_most(void) { return bare || shared ? BARE_STDIN : STDIN_CREDIT; }

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
	if (s->freed && !s->ended && (s->freed >= stdin_most() / 2 || (!bare && !s->in_len))) frame32(G_CREDIT, s->id, s->freed), s->freed = 0;
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
	flow(n);
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

/* Reads up to `most` bytes into the free slots of the shared memory, which follow each other but for where they begin anew. */
static ssize_t read_slots(int fd, u32 most)
{
	u32 first = slots_out % slots, before = (slots - first) * SLOT;
	u8 *start = shared + slots * SLOT;
	struct iovec into[2] = {{start + first * SLOT, most < before ? most : before}, {start, most < before ? 0 : most - before}};
	return readv(fd, into, most > before ? 2 : 1);
}

/* Tells of `n` bytes that read_slots() has put there. A last short piece goes as a frame. */
static void tell_slots(u8 type, u32 session, u32 n)
{
	for (u32 piece; n; n -= piece) {
		u8 *space = frame_space(), *slot = shared + (slots + slots_out % slots) * SLOT;
		piece = n < SLOT ? n : SLOT;
		if (piece < SLOT_LEAST) {
			memcpy(space, slot, piece);
			frame_done(type, 0, session, piece);
		} else {
			put32(space, piece), slots_out++;
			frame_done(type, MEMORY, session, 4);
		}
	}
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
		u32 room = longest == SLOT ? (slots - (slots_out - slots_taken)) * SLOT : longest, most = s->credit < room ? s->credit : room;
		if (s->budget[i] >= 0 && (u32)s->budget[i] < most) most = (u32)s->budget[i];
		if (s->budget[i] == 0 || (!most && s->ended && !s->tty && !ioctl(s->out[i], FIONREAD, &waiting) && !waiting && now >= s->deadline)) {
			output_close(s, i);
			return;
		}
		u8 *space = most && !carried && out_used() < OUT_DATA && !slots_full() ? frame_space() : NULL;
		if (!space || (s->empty[i] && s->budget[i] < 0)) return;
		/* Memory that the host has too costs one copy more than moving pages to a port, and no work of the host's for each page. */
		if (bare && !shared && s->pid && !s->tty && !ioctl(s->out[i], FIONREAD, &waiting) && waiting >= BARE_LEAST) {
			u32 n = s->budget[i] >= 0 && s->budget[i] < waiting ? (u32)s->budget[i] : (u32)waiting;
			n = line_carry(s->out[i], (u8)(G_STDOUT + i), s->id, n < s->credit ? n : s->credit);
			s->credit -= n, s->sent[i] += n;
			flow(n);
			if (s->budget[i] >= 0) s->budget[i] -= (int)n;
			if (n) continue;
		}
		ssize_t n;
		if (longest == SLOT) {
			n = read_slots(s->out[i], most);
			if (n > 0) tell_slots((u8)(G_STDOUT + i), s->id, (u32)n);
		} else if ((n = read(s->out[i], space, most)) > 0) {
			frame_done((u8)(G_STDOUT + i), 0, s->id, (u32)n);
		}
		if (n > 0) {
			flow((u32)n);
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

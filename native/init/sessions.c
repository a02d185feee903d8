/* Sessions: a process with its standard streams, or a file on its way, from the host's request to the end that it is told. */
#include "sessions.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "../common/clock.h"
#include "../common/descriptor.h"
#include "bytes.h"
#include "frames.h"
#include "power.h"
#include "kernel-log.h"
#include "processes.h"
#include "protocol.h"
#include "streams.h"

enum { HUP_GRACE_MS = 2000 }; /* FORGET: from SIGHUP to SIGKILL */

enum { LINGER_MS = 100 }; /* how long descendants may keep outputs open after the process of a session ended */

struct session sessions[SESSIONS], *sessions_end = sessions; /* behind the last that was ever used: each is far from the next */

struct session *session_find(u32 id)
{
	for (int i = 0; i < SESSIONS; i++)
		if (id && sessions[i].id == id && !sessions[i].forgotten) return &sessions[i];
	return NULL;
}

struct session *session_new(u32 id)
{
	struct session *s = sessions;
	if (!id || session_find(id)) return NULL; /* the host never reuses an id: nothing sensible to answer */
	while (s < sessions + SESSIONS && s->id) s++;
	if (s == sessions + SESSIONS || poweroff_stage) {
		frame_text(G_EXITED, id, EXIT_NOT_STARTED, s == sessions + SESSIONS ? EAGAIN : ESHUTDOWN,
				   poweroff_stage ? "the guest is powering off" : "all sessions of the guest are in use");
		return NULL;
	}
	if (s >= sessions_end) sessions_end = s + 1;
	memset(s, 0, offsetof(struct session, buffer));
	s->id = id, s->in = s->out[0] = s->out[1] = -1;
	kernel_log_read();
	s->kills = kills;
	s->credit = OUTPUT_CREDIT, s->budget[0] = s->budget[1] = -1, s->why = "";
	return s;
}

void session_end(struct session *s, u32 kind, u32 value, const char *why)
{
	s->ended = 1, s->kind = kind, s->value = value, s->why = why;
	s->deadline = now_ms() + LINGER_MS;
	close_fd(&s->in);
}

static void session_free(struct session *s)
{
	close_fd(&s->in), close_fd(&s->out[0]), close_fd(&s->out[1]);
	s->id = 0;
}

void session_forget(struct session *s)
{
	close_fd(&s->in), close_fd(&s->out[0]), close_fd(&s->out[1]);
	if (s->ended || !s->pid) {
		session_free(s);
		return;
	}
	s->forgotten = 1, s->deadline = now_ms() + HUP_GRACE_MS;
	kill(-s->pid, SIGHUP), kill(-s->pid, SIGCONT);
}

void session_turn(struct session *s, u64 now)
{
	if (s->forgotten) {
		if (s->ended) session_free(s);
		else if (now >= s->deadline) kill(-s->pid, SIGKILL), s->deadline = now + HUP_GRACE_MS;
		return;
	}
	session_feed(s);
	output_pump(s, 0, now), output_pump(s, 1, now);
	if (s->ended && !s->reported && s->out[0] < 0 && s->out[1] < 0 && out_used() < OUT_SNAP) {
		if (s->kind != EXIT_NOT_STARTED) output_close(s, 0), output_close(s, 1);
		frame_text(G_EXITED, s->id, s->kind, (int)s->value, s->why);
		s->reported = 1;
	}
}

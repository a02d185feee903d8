/*
 * pk-init: PID 1 and agent of a Polykernel guest. Speaks docs/guest-protocol.md over one byte stream.
 *
 * One thread, one ppoll loop, no heap: every buffer is static, so nothing the host or a process does makes it grow.
 * INVARIANTS
 * - Frames towards the host are made only while `out` (frames.c) has room: session output stops at OUT_DATA, snapshots at OUT_SNAP,
 *   reading of the control line at OUT_PARSE. What is left above is more than all control frames of one turn need.
 * - A slot of the shared memory has one owner: towards the guest the host, until this agent has acknowledged the frame that
 *   tells of it; towards the host this agent, from the host's TAKEN on.
 * - SIGCHLD, and the signals that ask for an end (power.h), are blocked except inside ppoll, so each always wakes the loop.
 * - Every descriptor of the agent is close-on-exec; children get exactly 0, 1 and 2.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../common/clock.h"
#include "../common/crc.h"
#include "../common/interface.h"
#include "beat.h"
#include "bells.h"
#include "boot.h"
#include "bytes.h"
#include "frames.h"
#include "inodes.h"
#include "kernel-log.h"
#include "line.h"
#include "power.h"
#include "processes.h"
#include "requests.h"
#include "sessions.h"
#include "streams.h"
#include "tar.h"
#include "watch.h"
#include "workers.h"

static volatile sig_atomic_t child_ended;

/* The places of what is waited for. */
enum { AT_LINE, AT_SECOND, AT_BELLS, AT_LOG, AT_STREAMS };

static void on_child(int number)
{
	(void)number;
	child_ended = 1;
}

static void soonest(u64 *at, u64 due)
{
	if (due < *at) *at = due;
}

static void loop(const sigset_t *while_waiting)
{
	static struct pollfd polls[AT_STREAMS + 3 * SESSIONS];
	for (;;) {
		u64 now = now_ms(), wake = UINT64_MAX;
		int count = AT_STREAMS, room = out_used() < OUT_DATA, fits = room && !carried && !slots_full();
		int rests = line_rest > now, hears = in_len < sizeof in && out_used() < OUT_PARSE, sends_second = line_sends_second(), sends = !sends_second && line_sends();
		polls[AT_LINE].fd = rests || !(hears || sends) ? -1 : line;
		polls[AT_LINE].events = (short)((hears ? POLLIN : 0) | (sends ? POLLOUT : 0));
		polls[AT_SECOND] = (struct pollfd){.fd = hears || sends_second ? line_second() : -1, .events = (short)((hears ? POLLIN : 0) | (sends_second ? POLLOUT : 0))};
		polls[AT_BELLS] = (struct pollfd){.fd = room ? bell_fifo : -1, .events = POLLIN};
		polls[AT_LOG] = (struct pollfd){.fd = log_rest > now ? -1 : kernel_log, .events = POLLIN};
		if (parse_waits && out_used() < OUT_PARSE) wake = now;
		if (rests) soonest(&wake, line_rest);
		soonest(&wake, line_due());
		if (log_rest > now) soonest(&wake, log_rest);
		if (trouble_due && out_used() < OUT_SNAP) soonest(&wake, trouble_due);
		if (watch_due && out_used() < OUT_SNAP) soonest(&wake, watch_due);
		if (workers_due) soonest(&wake, workers_due);
		if (inodes_most) soonest(&wake, inodes_due);
		if (flow_due) soonest(&wake, flow_due);
		soonest(&wake, beat_due);
		if (poweroff_stage) soonest(&wake, poweroff_due);
		for (struct session *s = sessions; s < sessions_end; s++) {
			if (!s->id) continue;
			if (s->forgotten || (s->ended && s->pid && now < s->deadline && !s->reported)) soonest(&wake, s->deadline);
			if (s->in >= 0 && s->in_len) polls[count++] = (struct pollfd){.fd = s->in, .events = POLLOUT};
			for (int i = 0; i < 2; i++)
				if ((s->polled[i] = s->out[i] >= 0 && s->credit && fits ? count : 0)) polls[count++] = (struct pollfd){.fd = s->out[i], .events = POLLIN};
		}
		struct timespec timeout = {0};
		if (wake != UINT64_MAX && wake > now) timeout = (struct timespec){(time_t)((wake - now) / 1000), (long)((wake - now) % 1000) * 1000000};
		ppoll(polls, (nfds_t)count, wake == UINT64_MAX ? NULL : &timeout, while_waiting);
		now = now_ms();
		if (child_ended) child_ended = 0, reap();
		poweroff_asked();
		if (polls[AT_LINE].fd >= 0 && polls[AT_LINE].revents & (POLLIN | POLLHUP | POLLERR)) line_input(now);
		else if (polls[AT_SECOND].fd >= 0 && polls[AT_SECOND].revents & (POLLIN | POLLHUP | POLLERR)) line_input_second(now);
		else if (in_len > in_pos && out_used() < OUT_PARSE) line_hear(); /* left over from when there was no room for the answers */
		for (struct session *s = sessions; s < sessions_end; s++) {
			for (int i = 0; i < 2; i++) s->empty[i] = s->polled[i] && !polls[s->polled[i]].revents;
			if (s->id) session_turn(s, now);
		}
		if (polls[AT_BELLS].fd >= 0 && polls[AT_BELLS].revents) bells_out();
		if (polls[AT_LOG].fd >= 0 && polls[AT_LOG].revents) kernel_log_read();
		kernel_log_turn(now);
		watch_turn(now);
		workers_turn(now);
		inodes_turn(now);
		beat_turn(now);
		flow_turn(now);
		line_flush();
		poweroff_turn(now);
	}
}

int main(int argc, char **argv)
{
	/* Started by the agent itself, for trees of files. What a kernel hands its first process is not meant for it. */
	if (getpid() != 1 && argc == 4 && !strcmp(argv[1], "pack")) return pack(argv[2], argv[3]);
	if (getpid() != 1 && argc == 5 && !strcmp(argv[1], "unpack")) return unpack(argv[2], argv[3], argv[4]);
	sigset_t blocked, while_waiting;
	struct sigaction action = {.sa_handler = on_child};
	umask(0);
	boot_mounts();
	boot_modules();
	interface_up("lo"); /* a kernel without a network has none */
	kernel_log_open();
	crc_setup();
	sigemptyset(&while_waiting);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGCHLD);
	poweroff_signals(&blocked);
	sigprocmask(SIG_BLOCK, &blocked, NULL);
	sigaction(SIGCHLD, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	open_line();
	send_hello(0);
	line_flush();
	loop(&while_waiting);
}

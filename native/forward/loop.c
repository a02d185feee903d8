/* The poll loop: waits for all descriptors, and calls whoever has something to do. */
#include "loop.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>

#include "../common/keep.h"
#include "arrivals.h"
#include "endings.h"
#include "pairs.h"
#include "pressure.h"
#include "transfer.h"

/* How long the target may take to answer, and how long a connection is silent before another of its client may take its place. */
#define CONNECT_S 30

/* After the kernel had no file or memory for another connection. */
#define ACCEPT_AGAIN_MS 200

/* Taken in one round: as many as the kernel's queue holds. */
#define ACCEPT_AT_ONCE 1024
#define EVENTS_AT_ONCE 256

static volatile sig_atomic_t is_target_gone;

void on_target_gone(int number)
{
	(void)number;
	is_target_gone = 1;
}

int take_target_gone(void)
{
	int was = is_target_gone;

	is_target_gone = 0;
	return was;
}

static void reset_all(void)
{
	for (struct pair *p = pairs; p < pairs + PAIRS; p++)
		if (p->fd[0] >= 0)
			drop_hard(p);
}

/* Every LOOK_MS. */
static void look(const char *file)
{
	if (!keep_is_wanted(file))
		exit(0);
	look_at_endings(now);
	relieve_pressure();
	for (struct pair *p = pairs; p < pairs + PAIRS; p++)
		if (p->fd[0] >= 0 && p->connecting && now - p->begun > CONNECT_S * SECOND)
			drop_hard(p);
}

_Noreturn void loop(int listener, const struct sockaddr_in *target, const char *file)
{
	static struct epoll_event events[EVENTS_AT_ONCE];
	struct timespec time;
	int64_t looked = 0, relieved = 0;
	int more = 1; /* there may be clients to take; negative: and a lack of files or memory */
	sigset_t none;

	sigemptyset(&none);

	for (;;) {
		int wait = waiting_count > 0 || more > 0 ? 0 : more < 0 ? ACCEPT_AGAIN_MS : blocked_count > 0 ? PRESSURE_LOOK_MS : LOOK_MS;
		int n = epoll_pwait(poller, events, EVENTS_AT_ONCE, wait, &none);

		clock_gettime(CLOCK_MONOTONIC, &time);
		now = time.tv_sec * SECOND + time.tv_nsec;
		if (now - looked >= LOOK_MS / 1000 * SECOND) {
			looked = now;
			look(file);
		}
		if (blocked_count > 0 && now - relieved >= PRESSURE_LOOK_MS * (SECOND / 1000)) {
			relieved = now;
			relieve_pressure();
		}
		if (take_target_gone())
			reset_all();
		for (int i = 0; i < n; i++) {
			uint32_t at = events[i].data.u32, told = events[i].events;

			if (at == LISTENER)
				more = 1;
			/* The other side's event may have ended it; nobody has its place before all are served. */
			else if (pairs[at / 2].fd[0] >= 0)
				serve(&pairs[at / 2], at % 2 ? 0 : told, at % 2 ? told : 0);
		}
		for (int i = 0; i < ACCEPT_AT_ONCE && (more > 0 || i == 0) && more != 0; i++)
			more = take(listener);
		begin_some(target);
	}
}

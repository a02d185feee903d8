/* The poll loop: waits for all descriptors, and calls whoever has something to do. */
#include "loop.h"

#include <errno.h>
#include <poll.h>

#include "../common/clock.h"
#include "../common/fail.h"
#include "../common/keep.h"
#include "buffer.h"
#include "clients.h"
#include "console.h"
#include "directory.h"
#include "program.h"
#include "relays.h"

/* The places of what is waited for. */
enum {
	AT_SIGNALS,
	AT_LISTENER,
	AT_CONSOLE,
	AT_PROGRAMS, /* their ends of the relays */
	AT_HOLDERS = AT_PROGRAMS + RELAYS,
	AT_CLIENTS = AT_HOLDERS + RELAYS,
	PLACES = AT_CLIENTS + CLIENTS,
};

static struct pollfd places[PLACES];

static int is_drained(void)
{
	int i;

	if (console >= 0)
		return 0;
	for (i = 0; i < RELAYS; i++)
		if (relays[i].holder >= 0 && (relays[i].program >= 0 || !is_empty(&relays[i].out)))
			return 0;
	return 1;
}

/* One that nothing is wanted of is left out, or its hangup would spin the loop. */
static void watch(int place, int fd, int wanted)
{
	places[place] = (struct pollfd){wanted ? fd : -1, (short)wanted, 0};
}

static void watch_all(int rest)
{
	watch(AT_SIGNALS, signals, POLLIN);
	watch(AT_LISTENER, listener, POLLIN);
	watch(AT_CONSOLE, console, (rest > 0 ? 0 : POLLIN) | (is_empty(&console_in) ? 0 : POLLOUT));
	for (int i = 0; i < RELAYS; i++) {
		struct relay *r = &relays[i];

		watch(AT_PROGRAMS + i, r->program, (r->holder >= 0 && is_empty(&r->out) ? POLLIN : 0) | (is_empty(&r->in) ? 0 : POLLOUT));
		watch(AT_HOLDERS + i, r->holder, (is_empty(&r->in) ? POLLIN : 0) | (is_empty(&r->out) ? 0 : POLLOUT));
	}
	for (int i = 0; i < CLIENTS; i++)
		watch(AT_CLIENTS + i, clients[i].fd, clients[i].kind != CONSOLE || is_empty(&console_in) ? POLLIN : 0);
}

static void serve(void)
{
	if (places[AT_SIGNALS].revents)
		reap();
	if (places[AT_CONSOLE].revents & ~POLLOUT)
		pump_console();
	for (int i = 0; i < CLIENTS; i++) {
		struct client *c = &clients[i];

		/* A slot that was freed and taken again in this round has another descriptor or waits for the next. */
		if (places[AT_CLIENTS + i].revents && c->kind != FREE && c->fd == places[AT_CLIENTS + i].fd)
			read_client(c);
	}
	if (places[AT_LISTENER].revents)
		accept_client();
}

/*
 * How long a kernel goes on of which the host has killed a process: for each one more it writes to its own log what all of them have. Some
 * hundred a second can be had.
 */
#define SHORTAGE_MS 1000

/* When it is looked again whether the directory is there, and whether memory was short. */
static uint64_t look_at, shortage_at;

static void look(uint64_t now)
{
	if (ended)
		return;
	if (now >= look_at) {
		look_at = now + LOOK_MS;
		if (is_forgotten())
			kill_program();
	}
	if (tells_of_shortage() && now >= shortage_at) {
		shortage_at = now + SHORTAGE_MS;
		if (was_short())
			kill_program();
	}
}

static uint64_t next_look(void)
{
	return tells_of_shortage() && shortage_at < look_at ? shortage_at : look_at;
}

/* Milliseconds for poll(). `rest`: until more of the console is to be taken, 0 = it is watched. */
static int patience(uint64_t now, int rest)
{
	uint64_t until = ended ? end_deadline : next_look();

	if (rest > 0 && until > now + (uint64_t)rest)
		until = now + (uint64_t)rest;
	return until > now ? (int)(until - now) : 0;
}

void loop(void)
{
	for (;;) {
		uint64_t now;
		int rest;

		for (int i = 0; i < RELAYS; i++)
			pump_relay(&relays[i]);
		if (console >= 0 && flush_to(&console_in, console) < 0)
			discard(&console_in);
		now = now_ms();
		look(now);
		if (ended && (now >= end_deadline || is_drained()))
			return;
		/* Its last words come at once. */
		rest = ended ? 0 : console_rest(now);
		watch_all(rest);
		if (poll(places, PLACES, patience(now, rest)) < 0 && errno != EINTR)
			fail("poll");
		serve();
	}
}

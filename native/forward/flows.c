/* See flows.h: the table of flows, and who has to go. */
#include "flows.h"

#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "../common/fail.h"
#include "origin.h"
#include "ports.h"

#define SECOND 1000000000LL

/* As connection tracking of Linux has it: one that went to and fro, and any other. */
#define KNOWN_S 180
#define STRANGE_S 30

struct datagram_flow flows[FLOWS];
static struct datagram_flow *hashed_flows[FLOWS], *free_flow;
static uint64_t keys[4];

void forget_flows(void)
{
	if (getrandom(keys, sizeof keys, 0) != sizeof keys)
		fail("random");
	forget_clients();
	memset(hashed_flows, 0, sizeof hashed_flows);
	free_flow = NULL;
	for (int i = FLOWS - 1; i >= 0; i--) {
		flows[i] = (struct datagram_flow){ .fd = -1, .next = free_flow };
		free_flow = &flows[i];
	}
}

/* What tells clients apart: port, and the two halves of an address. */
static void parts_of(const struct sockaddr_storage *from, uint64_t part[3])
{
	const struct sockaddr_in *four = (const struct sockaddr_in *)from;
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)from;

	if (from->ss_family == AF_INET) {
		part[0] = four->sin_port, part[1] = four->sin_addr.s_addr, part[2] = 0;
		return;
	}
	part[0] = six->sin6_port | (uint64_t)six->sin6_scope_id << 32;
	memcpy(&part[1], six->sin6_addr.s6_addr, 16);
}

static struct datagram_flow **place_of(const struct sockaddr_storage *from)
{
	uint64_t part[3], other[3], sum = keys[3];
	struct datagram_flow **at;

	parts_of(from, part);
	for (int i = 0; i < 3; i++)
		sum += part[i] * (keys[i] | 1);
	for (at = &hashed_flows[sum >> (64 - PLACES_BITS)]; *at != NULL; at = &(*at)->next) {
		parts_of(&(*at)->from, other);
		if (memcmp(part, other, sizeof part) == 0)
			break;
	}
	return at;
}

struct datagram_flow *find_flow(const struct sockaddr_storage *from)
{
	return *place_of(from);
}

/* Its client went on after it was answered: who forges addresses sees no answer. */
static int is_known(const struct datagram_flow *f)
{
	return f->answered && f->said > 1;
}

/* Of two flows the one that is missed less. */
static int is_missed_less(const struct datagram_flow *a, const struct datagram_flow *b)
{
	return is_known(a) != is_known(b) ? !is_known(a) : a->moved < b->moved;
}

/* How a place is looked for: for whom, among whom. */
struct search {
	uint64_t origin;
	unsigned own, most; /* places of that origin, and of the one that has the most of those who are looked at */
	int among_strangers;
};

static int is_looked_at(const struct datagram_flow *f, const struct search *s)
{
	return !s->among_strangers || !is_known(f);
}

/* The one that is missed least; NULL: none of them should go. */
static struct datagram_flow *find_victim(const struct search *s, int of_anybody)
{
	struct datagram_flow *victim = NULL;

	for (struct datagram_flow *f = flows; f < flows + FLOWS; f++) {
		if (!is_looked_at(f, s))
			continue;
		if (!of_anybody && (s->most > s->own + 1 ? f->client->count < s->most : s->own > 0 && f->client->origin != s->origin))
			continue;
		if (victim == NULL || is_missed_less(f, victim))
			victim = f;
	}
	return victim;
}

/* Makes a place for one more flow of an origin: the rules in main.c. */
static void make_flow_room(uint64_t origin)
{
	struct search s = { .origin = origin, .own = places_of(origin) };
	struct datagram_flow *victim;
	unsigned strangers = 0;

	if (free_flow != NULL)
		return;
	for (struct datagram_flow *f = flows; f < flows + FLOWS; f++)
		strangers += !is_known(f);
	s.among_strangers = strangers > FLOWS / 2;
	for (struct datagram_flow *f = flows; f < flows + FLOWS; f++)
		if (is_looked_at(f, &s) && f->client->count > s.most)
			s.most = f->client->count;
	victim = find_victim(&s, 0);
	close_flow(victim != NULL ? victim : find_victim(&s, 1));
}

struct datagram_flow *open_flow(const struct sockaddr_storage *from, socklen_t length, int fd, int64_t now)
{
	struct datagram_flow *f, **at;
	uint64_t origin = origin_of(from);

	make_flow_room(origin);
	f = free_flow;
	free_flow = f->next;
	*f = (struct datagram_flow){ .from = *from, .from_length = length, .fd = fd, .moved = now, .client = take_place(origin) };
	at = place_of(from);
	*at = f;
	return f;
}

void close_flow(struct datagram_flow *f)
{
	struct datagram_flow **at = place_of(&f->from);

	*at = f->next;
	close(f->fd);
	give_port_back(f->port);
	give_place_back(f->client);
	*f = (struct datagram_flow){ .fd = -1, .next = free_flow };
	free_flow = f;
}

void close_silent_flows(int64_t now)
{
	for (struct datagram_flow *f = flows; f < flows + FLOWS; f++)
		if (f->fd >= 0 && now - f->moved > (is_known(f) ? KNOWN_S : STRANGE_S) * SECOND)
			close_flow(f);
}

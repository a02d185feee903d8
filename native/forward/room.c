/* Decides which connection ends when there is no place for one more: the rules in main.c. */
#include "room.h"

#include <stddef.h>

#include "pairs.h"

#define SILENT_S 60

/* Of two connections the one that is missed less: that never spoke, and then that is silent longer. */
static int is_less(const struct pair *a, const struct pair *b)
{
	if (a->spoke != b->spoke)
		return !a->spoke;
	return a->spoke ? a->moved < b->moved : a->begun < b->begun;
}

static unsigned count_of(const struct pair *p)
{
	return p->client->count;
}

/* Makes a place for one more connection of an address that has so many. Negative: it has to go itself. */
int make_room(unsigned own)
{
	struct pair *p, *victim = NULL;
	unsigned most;
	int is_other, is_first;

	if (unused_count > 0)
		return 0;
	most = most_places();
	/* One more alone is no reason: two would drive each other out in turn. */
	is_other = most > own + 1;
	is_first = own == 0 && !is_other;
	for (p = pairs; p < pairs + PAIRS; p++) {
		if (count_of(p) < (is_other ? most : own))
			continue;
		/* By silence alone, so that who came last has time to say something. */
		if (victim == NULL || (is_first ? p->moved < victim->moved : is_less(p, victim)))
			victim = p;
	}
	if (victim == NULL || (!is_other && !is_first && victim->spoke && now - victim->moved < SILENT_S * SECOND))
		return -1;
	drop_hard(victim);
	return 0;
}

/*
 * Two ways for the same segments: a console, which is always there, and a second line that may come and go. Segments have positions, so
 * that it does not matter by which of both one comes, nor whether one is lost when the way changes.
 *
 * INVARIANTS
 * - A segment ends on the way on which it began, or is sent again whole.
 * - From both is read. Who has left the second line, because it ended, because nothing is answered there, or because the other end speaks
 *   on the console again, does not come back to it.
 */
#ifndef PK_WAYS_H
#define PK_WAYS_H

#include <sys/types.h>

#include "segments.h"

struct ways {
	struct segments *seg;
	int console, second; /* second: -1 = none */
	int on_second;	     /* what is to be sent goes there */
	uint64_t since;	     /* when that began */
	uint32_t patience;   /* of the segments on the console */
	int out;	     /* where the segment that is on its way began */
	struct segments_input from_console, from_second;
};

void ways_begin(struct ways *w, struct segments *seg, int console);
/* There is a second line. `speaks`: this end speaks there first; else it waits until it hears the other. */
void ways_second(struct ways *w, int fd, int speaks, uint64_t now);
/* Whether what is to be sent goes to `fd` now. */
int ways_goes_to(const struct ways *w, int fd);
/* Sends, and sends again what is due. Returns as segments_flush(). */
int ways_flush(struct ways *w, uint64_t now);
/* Reads from one of both, as read(2). The end of the second line is 0, once. */
ssize_t ways_read(struct ways *w, int fd, const struct segments_sink *sink, uint64_t now);

#endif

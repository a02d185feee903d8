/*
 * A stream of bytes in each direction over a line that also carries text of others, and drops what is not read in time: the line of
 * a kernel whose console is the same. docs/guest-protocol.md, "Segments", has the format.
 *
 * INVARIANTS
 * - Of what was sent and not acknowledged there are never more than `window` bytes, segment headers included: a reader that has room
 *   for them loses nothing.
 * - Bytes are handed over in order, each once. What is not handed over is not acknowledged.
 */
#ifndef PK_SEGMENTS_H
#define PK_SEGMENTS_H

#include <stddef.h>
#include <stdint.h>

enum { SEGMENT_HEADER = 16, SEGMENT_PAYLOAD = 496, SEGMENT = SEGMENT_HEADER + SEGMENT_PAYLOAD, SEGMENTS_WINDOW = 8192 };

struct segments {
	uint8_t held[SEGMENTS_WINDOW]; /* from `base` on: what the other end may still ask for */
	uint32_t base, length, sent, window;
	uint8_t line[SEGMENT]; /* the segment that is on its way into the line */
	uint32_t line_length, line_at;
	uint32_t wanted; /* the position that comes next */
	int owes, gap, heard; /* an acknowledgement; word of a gap; whether anything was heard */
	uint32_t again_at; /* the position at which a gap was made good last, plus one */
	uint64_t due; /* when to send all again; 0: never */
	uint32_t patience; /* in ms, until then; 0: only when asked to */
	uint32_t waits;
};

/* Of what came by one line: what is not a whole segment yet. */
struct segments_input {
	uint8_t raw[SEGMENT];
	uint32_t raw_length;
};

/* What comes. */
struct segments_sink {
	/* How many bytes may come at once at most. */
	size_t (*room)(void);
	void (*data)(const uint8_t *bytes, size_t count);
	/* What is of no segment. */
	void (*text)(const uint8_t *bytes, size_t count);
};

/* `window`: at most SEGMENTS_WINDOW. `patience`: as above. */
void segments_begin(struct segments *s, uint32_t window, uint32_t patience);

/* How many bytes it takes now. */
size_t segments_room(const struct segments *s);
/* At most so many. */
void segments_put(struct segments *s, const uint8_t *bytes, size_t count, uint64_t now);

/* Whether there is something to write into the line. */
int segments_ready(const struct segments *s);
/* Writes what it takes. Returns 0, or -1 with errno; EAGAIN and ENOSPC mean later. */
int segments_flush(struct segments *s, int fd);

/* How many segments were in it that are whole. */
int segments_take(struct segments *s, struct segments_input *from, const uint8_t *bytes, size_t count, const struct segments_sink *sink, uint64_t now);
/* There is room again where there was too little. */
void segments_ask(struct segments *s);
/* The line has rested: what looked like the beginning of a segment is text. */
void segments_rest(struct segments_input *from, const struct segments_sink *sink);
/* To be called at `due`. */
void segments_again(struct segments *s, uint64_t now);
/* Whether all was sent again, more than once, and nothing of it is acknowledged. */
int segments_in_vain(const struct segments *s);
/* Whether none is on its way into the line in part. */
int segments_between(const struct segments *s);
/* The line has gone, with what was on its way: all that is not acknowledged is sent again, on another. */
void segments_lost(struct segments *s);

#endif

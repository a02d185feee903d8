/* Segments: a sliding window with sums, in which the sender begins again at the first byte that is missing. */
#include "segments.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "crc.h"

/* The second byte of a segment: one that only goes on, or one whose sender misses what came before the last that it heard. */
enum { GOES_ON = 'S', GAP = 'N' };

enum { LONGEST_WAIT = 4 }; /* in patiences */

static uint32_t get(const uint8_t *p) { return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24; }

static void put(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> 8 * i);
}

void segments_begin(struct segments *s, uint32_t window, uint32_t patience)
{
	memset(s, 0, sizeof *s);
	s->window = window, s->patience = patience;
}

/* As many whole segments as the window holds, and one that is not. */
size_t segments_room(const struct segments *s)
{
	uint32_t most = (s->window / SEGMENT - 1) * SEGMENT_PAYLOAD;

	return s->length < most ? most - s->length : 0;
}

/* A piece that is no whole segment waits until nothing is under way: so few headers are. */
static int has_next(const struct segments *s)
{
	return s->sent < s->length && (s->sent == 0 || s->length - s->sent >= SEGMENT_PAYLOAD);
}

static void wait_for_answer(struct segments *s, uint64_t now)
{
	s->due = s->patience && s->sent > 0 ? now + s->patience * (1 + s->waits) : 0;
}

void segments_put(struct segments *s, const uint8_t *bytes, size_t count, uint64_t now)
{
	memcpy(s->held + s->length, bytes, count);
	s->length += (uint32_t)count;
	if (s->patience && !s->due)
		s->due = now + s->patience;
}

int segments_ready(const struct segments *s)
{
	return s->line_at < s->line_length || has_next(s) || s->owes;
}

static void next_segment(struct segments *s)
{
	uint32_t count = has_next(s) ? s->length - s->sent : 0;

	if (count > SEGMENT_PAYLOAD)
		count = SEGMENT_PAYLOAD;
	s->line[0] = 'P', s->line[1] = s->gap ? GAP : GOES_ON;
	s->line[2] = (uint8_t)count, s->line[3] = (uint8_t)(count >> 8);
	put(s->line + 4, s->base + s->sent);
	put(s->line + 8, s->wanted);
	memcpy(s->line + SEGMENT_HEADER, s->held + s->sent, count);
	put(s->line + 12, crc(crc(0, s->line, 12), s->line + SEGMENT_HEADER, count));
	s->sent += count;
	s->line_at = 0, s->line_length = SEGMENT_HEADER + count;
	s->owes = s->gap = 0;
}

int segments_flush(struct segments *s, int fd)
{
	while (segments_ready(s)) {
		ssize_t n;

		if (s->line_at == s->line_length)
			next_segment(s);
		n = write(fd, s->line + s->line_at, s->line_length - s->line_at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		s->line_at += (uint32_t)n;
	}
	return 0;
}

static void send_again(struct segments *s) { s->sent = 0; }

void segments_again(struct segments *s, uint64_t now)
{
	if (s->length > 0)
		send_again(s);
	if (s->waits < LONGEST_WAIT)
		s->waits++;
	s->due = s->length > 0 && s->patience ? now + s->patience * (1 + s->waits) : 0;
}

static void acknowledged(struct segments *s, uint32_t upto, int gap, uint64_t now)
{
	uint32_t count = upto - s->base;

	/* An old one, or one that is none. */
	if (count > s->length)
		return;
	if (count > 0) {
		memmove(s->held, s->held + count, s->length - count);
		s->base += count, s->length -= count;
		s->sent = s->sent > count ? s->sent - count : 0;
		s->waits = 0;
		wait_for_answer(s, now);
	}
	/* All that was under way says so, one after the other. */
	if (gap && (!s->patience || s->again_at != s->base + 1))
		s->again_at = s->base + 1, send_again(s);
}

/* Whether the segment at the beginning of `raw` was taken: 0 when it is none. */
static int take_segment(struct segments *s, const uint8_t *p, const struct segments_sink *sink, uint32_t count, uint64_t now)
{
	uint32_t at = get(p + 4);

	if (crc(crc(0, p, 12), p + SEGMENT_HEADER, count) != get(p + 12))
		return 0;
	s->heard = 1;
	acknowledged(s, get(p + 8), p[1] == GAP, now);
	if (count == 0)
		return 1;
	s->owes = 1;
	if (at != s->wanted)
		s->gap = (int32_t)(at - s->wanted) > 0;
	else if (sink->room() < count)
		s->owes = 0;
	else
		s->wanted += count, sink->data(p + SEGMENT_HEADER, count);
	return 1;
}

static void drop(struct segments_input *from, uint32_t count)
{
	from->raw_length -= count;
	memmove(from->raw, from->raw + count, from->raw_length);
}

/* How many bytes at the beginning of `raw` cannot be of a segment. */
static uint32_t foreign(const struct segments_input *from)
{
	uint32_t at = 0;

	for (;; at++) {
		const uint8_t *p = from->raw + at;
		uint32_t rest = from->raw_length - at;

		if (rest == 0 || (p[0] == 'P' && (rest < 2 || p[1] == GOES_ON || p[1] == GAP) &&
				  (rest < 4 || (p[2] | p[3] << 8) <= SEGMENT_PAYLOAD)))
			return at;
	}
}

static int parse(struct segments *s, struct segments_input *from, const struct segments_sink *sink, uint64_t now)
{
	for (int found = 0;;) {
		uint32_t stray = foreign(from), count;

		if (stray > 0)
			sink->text(from->raw, stray), drop(from, stray);
		if (from->raw_length < SEGMENT_HEADER)
			return found;
		count = from->raw[2] | (uint32_t)from->raw[3] << 8;
		if (from->raw_length < SEGMENT_HEADER + count)
			return found;
		if (take_segment(s, from->raw, sink, count, now))
			drop(from, SEGMENT_HEADER + count), found++;
		else
			sink->text(from->raw, 1), drop(from, 1);
	}
}

int segments_take(struct segments *s, struct segments_input *from, const uint8_t *bytes, size_t count, const struct segments_sink *sink, uint64_t now)
{
	int found = 0;

	while (count > 0) {
		size_t part = sizeof from->raw - from->raw_length;

		if (part > count)
			part = count;
		memcpy(from->raw + from->raw_length, bytes, part);
		from->raw_length += (uint32_t)part, bytes += part, count -= part;
		found += parse(s, from, sink, now);
	}
	return found;
}

void segments_ask(struct segments *s) { s->owes = s->gap = 1; }

void segments_rest(struct segments_input *from, const struct segments_sink *sink)
{
	if (from->raw_length > 0)
		sink->text(from->raw, from->raw_length), from->raw_length = 0;
}

int segments_in_vain(const struct segments *s) { return s->length > 0 && s->waits >= LONGEST_WAIT; }

int segments_between(const struct segments *s) { return s->line_at == s->line_length; }

void segments_lost(struct segments *s)
{
	s->line_at = s->line_length = 0, s->waits = 0;
	send_again(s);
	/* What the other end was told there it may not know. */
	s->owes = 1;
}

/* Which of two lines segments pass. */
#include "ways.h"

#include <errno.h>
#include <unistd.h>

enum {
	SETTLE_MS = 1000, /* what was on the console before may come so late */
	PATIENCE_MS = 250, /* on the second line nothing says that something was lost there */
};

void ways_begin(struct ways *w, struct segments *seg, int console)
{
	*w = (struct ways){.seg = seg, .console = console, .second = -1, .patience = seg->patience, .out = console};
}

static void speak(struct ways *w, uint64_t now)
{
	w->on_second = 1, w->since = now;
	w->seg->patience = PATIENCE_MS;
	if (!w->seg->due && w->seg->length > 0)
		w->seg->due = now + PATIENCE_MS;
}

void ways_second(struct ways *w, int fd, int speaks, uint64_t now)
{
	w->second = fd;
	if (!speaks)
		return;
	speak(w, now);
	w->seg->owes = 1;
}

static void go_back(struct ways *w)
{
	int was_there = w->on_second || w->out == w->second;

	close(w->second);
	w->second = -1, w->on_second = 0, w->out = w->console;
	w->seg->patience = w->patience;
	if (!w->patience)
		w->seg->due = 0;
	if (was_there)
		segments_lost(w->seg);
}

static int way(const struct ways *w)
{
	if (!segments_between(w->seg))
		return w->out;
	return w->on_second ? w->second : w->console;
}

int ways_goes_to(const struct ways *w, int fd) { return way(w) == fd; }

int ways_flush(struct ways *w, uint64_t now)
{
	if (w->seg->due && now >= w->seg->due) {
		if (w->on_second && segments_in_vain(w->seg))
			go_back(w);
		segments_again(w->seg, now);
	}
	for (;;) {
		int result, error;

		w->out = way(w);
		result = segments_flush(w->seg, w->out), error = errno;
		if (w->out == w->second && result != 0 && error != EAGAIN) {
			go_back(w);
			continue;
		}
		/* The rest of one went where it began. */
		if (result == 0 && segments_ready(w->seg) && way(w) != w->out)
			continue;
		errno = error;
		return result;
	}
}

ssize_t ways_read(struct ways *w, int fd, const struct segments_sink *sink, uint64_t now)
{
	uint8_t bytes[16384];
	ssize_t n = read(fd, bytes, sizeof bytes);
	int is_second = fd == w->second;
	struct segments_input *from = is_second ? &w->from_second : &w->from_console;
	int heard = n > 0 && segments_take(w->seg, from, bytes, (size_t)n, sink, now) > 0;

	if (is_second && (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)))
		go_back(w);
	else if (is_second && heard && !w->on_second)
		speak(w, now);
	else if (!is_second && heard && w->on_second && now - w->since > SETTLE_MS)
		go_back(w);
	return n;
}

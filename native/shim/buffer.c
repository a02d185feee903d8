#include "buffer.h"

#include <errno.h>
#include <sys/socket.h>

int is_empty(const struct buffer *b)
{
	return b->from == b->to;
}

/* Reads into an empty buffer: 1 data, 0 nothing now, -1 the other side closed. */
int fill(struct buffer *b, int fd)
{
	ssize_t n = recv(fd, b->bytes, sizeof b->bytes, MSG_DONTWAIT);

	if (n > 0) {
		b->from = 0;
		b->to = (size_t)n;
		return 1;
	}
	return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
}

/* Writes what the socket takes: -1 the other side closed. */
int flush_to(struct buffer *b, int fd)
{
	while (!is_empty(b)) {
		ssize_t n = send(fd, b->bytes + b->from, b->to - b->from, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -1;
		b->from += (size_t)n;
	}
	return 0;
}

void discard(struct buffer *b)
{
	b->from = b->to = 0;
}

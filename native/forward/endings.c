/* See endings.h: the end of connections to the target. */
#include "endings.h"

#include <stddef.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "pairs.h"
#include "transfer.h"

#define TAKES_NOTHING_S 30

static struct ending {
	int fd; /* -1: nobody is here */
	int left; /* bytes that are not acknowledged, the end being one */
	int64_t moved;
} endings[ENDINGS];
static size_t oldest; /* and the place of the next */

void forget_endings(void)
{
	for (struct ending *e = endings; e < endings + ENDINGS; e++)
		e->fd = -1;
	oldest = 0;
}

static int bytes_left(int fd)
{
	int left = 0;

	return ioctl(fd, TIOCOUTQ, &left) == 0 ? left : 0;
}

static void finish(struct ending *e, int is_taken)
{
	if (!is_taken)
		hang_up(e->fd);
	close(e->fd);
	e->fd = -1;
}

void end_gently(int fd, int64_t now)
{
	int left = bytes_left(fd);
	struct ending *e = &endings[oldest];

	if (left == 0) {
		close(fd);
		return;
	}
	/* Its place may be another's soon. */
	epoll_ctl(poller, EPOLL_CTL_DEL, fd, NULL);
	if (e->fd >= 0)
		finish(e, bytes_left(e->fd) == 0);
	*e = (struct ending){ .fd = fd, .left = left, .moved = now };
	oldest = (oldest + 1) % ENDINGS;
}

void reset_endings(void)
{
	for (struct ending *e = endings; e < endings + ENDINGS; e++)
		if (e->fd >= 0)
			finish(e, 0);
}

void look_at_endings(int64_t now)
{
	for (struct ending *e = endings; e < endings + ENDINGS; e++) {
		int left;

		if (e->fd < 0)
			continue;
		left = bytes_left(e->fd);
		if (left < e->left)
			e->left = left, e->moved = now;
		if (left == 0 || now - e->moved > TAKES_NOTHING_S * SECOND)
			finish(e, left == 0);
	}
}

int64_t bytes_of_endings(void)
{
	int64_t all = 0;

	for (struct ending *e = endings; e < endings + ENDINGS; e++)
		all += e->fd >= 0 ? bytes_left(e->fd) : 0;
	return all;
}

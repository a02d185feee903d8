/* Moves bytes between the two ends of a connection, and asks the poller for what each still waits for. */
#include "transfer.h"

#include <errno.h>
#include <sys/epoll.h>

#include "arrivals.h"
#include "pairs.h"

int poller;

/* What is on its way at this moment, of any pair. */
static char passing[32768];

/* Asks for the events that a pair can do something with. Negative: it cannot be. */
int watch(struct pair *p)
{
	/* Of a client that waits for the target only that it is gone, which needs no asking. */
	uint32_t want[2] = { p->connecting ? EPOLLERR : 0, p->connecting ? EPOLLOUT : 0 };

	set_blocked(p, p->flow[0].blocked || p->flow[1].blocked);
	for (int way = 0; way < 2 && !p->connecting; way++) {
		if (p->flow[way].blocked)
			want[1 - way] |= EPOLLOUT;
		else if (!p->flow[way].ended)
			want[way] |= EPOLLIN;
	}
	for (int side = 0; side < 2; side++) {
		struct epoll_event event = { .events = want[side], .data.u32 = (uint32_t)(p - pairs) * 2 + (uint32_t)side };
		/* One that nothing is wanted of is taken out: its end would be told again and again. */
		int act = want[side] == 0 ? EPOLL_CTL_DEL : p->watched[side] == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;

		if (want[side] == p->watched[side])
			continue;
		if (epoll_ctl(poller, act, p->fd[side], &event) != 0)
			return -1;
		p->watched[side] = want[side];
	}
	return 0;
}

/* Takes away what was passed on. Negative: it is not there. */
static int take_away(int fd, size_t count)
{
	while (count > 0) {
		ssize_t n = recv(fd, passing, count, MSG_TRUNC);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		count -= (size_t)n;
	}
	return 0;
}

/* Passes on what there is room for. Negative: the pair is over. */
static int pass_on(struct pair *p, int way, size_t count)
{
	struct flow *f = &p->flow[way];
	ssize_t n = send(p->fd[1 - way], passing, count, MSG_NOSIGNAL);

	if (n < 0 && errno != EAGAIN && errno != EINTR)
		return -1;
	if (n > 0 || !f->blocked)
		p->moved = now;
	f->blocked = n < (ssize_t)count;
	return n > 0 ? take_away(p->fd[way], (size_t)n) : 0;
}

/* Moves what can be moved in one direction. Negative: the pair is over. */
static int move(struct pair *p, int way)
{
	struct flow *f = &p->flow[way];
	ssize_t n;

	if (!f->ended) {
		n = recv(p->fd[way], passing, sizeof passing, MSG_PEEK);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -1;
		if (n <= 0)
			f->ended = n == 0, f->blocked = 0;
		else if (p->spoke |= way == 0, pass_on(p, way, (size_t)n) < 0)
			return -1;
	}
	if (f->ended == 1) {
		shutdown(p->fd[1 - way], SHUT_WR);
		f->ended = 2;
	}
	return p->flow[0].ended == 2 && p->flow[1].ended == 2 ? -1 : 0;
}

void serve(struct pair *p, uint32_t client, uint32_t target)
{
	if (p->connecting) {
		if (client & (EPOLLHUP | EPOLLERR)) {
			drop(p);
			return;
		}
		if (!target)
			return;
		if (has_failed(p->fd[1])) {
			drop_hard(p);
			return;
		}
		p->connecting = 0;
	}
	if (move(p, 0) < 0 || move(p, 1) < 0)
		drop(p);
	else if (watch(p) < 0)
		drop_hard(p);
}

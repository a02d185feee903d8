/* Moves bytes between the two ends of a connection, and asks the poller for what each still waits for. */
#include "transfer.h"

#include <errno.h>
#include <sys/epoll.h>

#include "arrivals.h"
#include "pairs.h"

int poller;

/* Asks for the events that a pair can do something with. Negative: it cannot be. */
int watch(struct pair *p)
{
	/* Of a client that waits for the target only that it is gone, which needs no asking. */
	uint32_t want[2] = { p->connecting ? EPOLLERR : 0, p->connecting ? EPOLLOUT : 0 };

	set_blocked(p, p->flow[0].to > 0 || p->flow[1].to > 0);
	for (int way = 0; way < 2 && !p->connecting; way++) {
		if (p->flow[way].to > 0)
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

/* Moves what can be moved in one direction. Negative: the pair is over. */
static int move(struct pair *p, int way)
{
	struct flow *f = &p->flow[way];
	ssize_t n;

	if (!f->ended && f->to == 0) {
		n = recv(p->fd[way], f->bytes, BUFFER_BYTES, 0);
		if (n == 0)
			f->ended = 1;
		else if (n > 0)
			f->from = 0, f->to = (size_t)n, p->moved = now, p->spoke |= way == 0;
		else if (errno != EAGAIN && errno != EINTR)
			return -1;
	}
	while (f->from < f->to) {
		n = send(p->fd[1 - way], f->bytes + f->from, f->to - f->from, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : -1;
		f->from += (size_t)n, p->moved = now;
	}
	f->from = f->to = 0;
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

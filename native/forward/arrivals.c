/* Accepts clients, and begins their connections to the target. */
#include "arrivals.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "origin.h"
#include "pairs.h"
#include "transfer.h"

/* Of peers that are gone without a word. */
#define KEEP_IDLE_S 300
#define KEEP_INTERVAL_S 60
#define KEEP_COUNT 5

/* Begun in one round for one address. */
#define CONNECT_AT_ONCE 16

static unsigned round_number;

static void set_number(int fd, int level, int option, int value)
{
	setsockopt(fd, level, option, &value, sizeof value);
}

/* Whether its peer has reset it, or it could not be made. */
int has_failed(int fd)
{
	int error = 0;
	socklen_t length = sizeof error;

	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0 || error;
}

/* Takes one client. 1: there may be more; 0: there is none; negative: there was no file or memory for it. */
int take(int listener)
{
	struct sockaddr_storage from = { 0 };
	socklen_t size = sizeof from;
	int fd = accept4(listener, (struct sockaddr *)&from, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
		return errno == EAGAIN ? 0 : errno == ECONNABORTED || errno == EINTR || errno == EPROTO ? 1 : -1;
	/* Before anybody makes room for it. */
	if (has_failed(fd)) {
		close(fd);
	} else if (seat(fd, origin_of(&from)) == NULL) {
		hang_up(fd);
		close(fd);
	}
	return 1;
}

/* Begins the connection to the target. Negative: the pair is over. */
static int begin(struct pair *p, const struct sockaddr_in *target)
{
	if (has_failed(p->fd[0]))
		return -1;
	p->fd[1] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (p->fd[1] < 0 || (connect(p->fd[1], (const struct sockaddr *)target, sizeof *target) != 0 && errno != EINPROGRESS))
		return -1;
	for (int i = 0; i < 2; i++) {
		set_number(p->fd[i], IPPROTO_TCP, TCP_NODELAY, 1);
		set_number(p->fd[i], SOL_SOCKET, SO_KEEPALIVE, 1);
		set_number(p->fd[i], IPPROTO_TCP, TCP_KEEPIDLE, KEEP_IDLE_S);
		set_number(p->fd[i], IPPROTO_TCP, TCP_KEEPINTVL, KEEP_INTERVAL_S);
		set_number(p->fd[i], IPPROTO_TCP, TCP_KEEPCNT, KEEP_COUNT);
	}
	p->connecting = 1;
	return watch(p);
}

/* Begins what waits, no more of one address than its share; the rest keeps waiting. */
void begin_some(const struct sockaddr_in *target)
{
	size_t kept = 0;

	round_number++;
	for (size_t i = 0; i < waiting_count; i++) {
		struct pair *p = waiting[i];
		struct client *client = p->client;

		if (p->fd[0] >= 0 && client->round == round_number && client->begun == CONNECT_AT_ONCE) {
			waiting[kept++] = p;
			continue;
		}
		is_listed[p - pairs] = 0;
		if (p->fd[0] < 0)
			continue;
		client->begun = client->round == round_number ? client->begun + 1 : 1;
		client->round = round_number;
		if (begin(p, target) < 0)
			drop_hard(p);
	}
	waiting_count = kept;
}

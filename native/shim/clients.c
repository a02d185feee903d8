/* Connections to shim.sock, until they are answered or become a stream. */
#include "clients.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "../common/descriptor.h"
#include "../common/fail.h"
#include "buffer.h"
#include "console.h"
#include "requests.h"

#define TEXT_BYTES 8192 /* of an answer */

struct client clients[CLIENTS];
int listener = -1;

void drop_client(struct client *c)
{
	close_fd(&c->fd);
	c->kind = FREE;
}

void answer(struct client *c, const char *format, ...)
{
	char text[TEXT_BYTES + 16];
	va_list list;
	int n;

	va_start(list, format);
	n = vsnprintf(text, sizeof text, format, list);
	va_end(list);
	if (n > 0)
		(void)!send(c->fd, text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
	drop_client(c);
}

/* Byte by byte up to the line end: what follows belongs to the stream that the connection becomes. */
static void read_line(struct client *c)
{
	char byte;
	ssize_t n;

	while ((n = recv(c->fd, &byte, 1, MSG_DONTWAIT)) == 1) {
		if (byte == '\n') {
			c->text[c->length] = 0;
			obey(c);
			return;
		}
		if (byte == 0 || c->length >= LINE_BYTES) {
			drop_client(c);
			return;
		}
		c->text[c->length++] = byte;
	}
	if (n == 0 || (errno != EAGAIN && errno != EINTR))
		drop_client(c);
}

void accept_client(void)
{
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), i;

	if (fd < 0)
		return;
	for (i = 0; i < CLIENTS && clients[i].kind != FREE; i++)
		;
	if (i == CLIENTS) {
		/* One that never said what it wants makes room. */
		for (i = 0; i < CLIENTS && clients[i].kind != READING; i++)
			;
		if (i == CLIENTS) {
			close(fd);
			return;
		}
		drop_client(&clients[i]);
	}
	clients[i].kind = READING;
	clients[i].fd = fd;
	clients[i].length = 0;
	read_line(&clients[i]); /* usually the line is there already */
}

void read_client(struct client *c)
{
	char ignored[256];
	ssize_t n;

	switch (c->kind) {
	case READING:
		read_line(c);
		break;
	case CONSOLE:
		if (!is_empty(&console_in))
			break;
		if (fill(&console_in, c->fd) < 0)
			drop_client(c);
		else if (console < 0 || flush_to(&console_in, console) < 0)
			discard(&console_in);
		break;
	case WAITING:
	case KILLING:
		n = recv(c->fd, ignored, sizeof ignored, MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			drop_client(c);
		break;
	case FREE:
		break;
	}
}

void listen_here(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "shim.sock"};

	unlink(address.sun_path);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) != 0 ||
	    chmod(address.sun_path, 0600) != 0 || listen(listener, 64) != 0)
		fail("shim.sock");
}

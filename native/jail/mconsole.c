/* Commands to UML's management console, and its answers. */
#include "mconsole.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

/* Sends one command over a socket whose other end is the console; -1 with errno set. */
int mconsole_send(int socket, const char *command)
{
	struct mconsole_request request = {0xcafebabe, 2, 0, {0}};
	size_t length = strlen(command);

	if (length == 0 || length >= sizeof request.data) {
		errno = EINVAL;
		return -1;
	}
	request.length = (uint32_t)length;
	memcpy(request.data, command, length);
	return send(socket, &request, sizeof request, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -1 : 0;
}

/* Takes one part of an answer into text[*length, size); 0: more follows, 1: this was the last, -1: nothing there, -2: the other end is closed. */
int mconsole_receive(int socket, char *text, size_t *length, size_t size, int *failed)
{
	struct mconsole_reply reply;
	ssize_t n = recv(socket, &reply, sizeof reply, MSG_DONTWAIT);
	size_t header = sizeof reply - sizeof reply.data, part, room = size - 1 - *length;

	if (n == 0)
		return -2;
	if (n < (ssize_t)header)
		return -1;
	part = (size_t)n - header < reply.length ? (size_t)n - header : reply.length;
	part = strnlen(reply.data, part < room ? part : room);
	memcpy(text + *length, reply.data, part);
	*length += part;
	text[*length] = 0;
	*failed = reply.error != 0;
	return !reply.more || room <= part;
}

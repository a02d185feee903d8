/*
 * The datagram protocol of UML's management console, as far as pk-shim speaks it, and opening the guest's socket safely.
 * The structures are those of arch/um/drivers/mconsole.h in the kernel's source.
 */
#ifndef MCONSOLE_H
#define MCONSOLE_H

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#define MCONSOLE_BYTES 512

struct mconsole_request {
	uint32_t magic, version, length;
	char data[MCONSOLE_BYTES];
};

struct mconsole_reply {
	uint32_t error, more, length;
	char data[MCONSOLE_BYTES];
};

/* Opens a socket file below DIR without following any link: the VMM may write there, and could place one. */
static int open_socket_file(const char *path)
{
	struct { uint64_t flags, mode, resolve; } how = {O_PATH | O_NOFOLLOW | O_CLOEXEC, 0, 0x04 | 0x08}; /* NO_SYMLINKS, BENEATH */
	struct stat st;
	int fd = (int)syscall(437 /* openat2 */, AT_FDCWD, path, &how, sizeof how);

	if (fd >= 0 && (fstat(fd, &st) != 0 || !S_ISSOCK(st.st_mode))) {
		close(fd);
		errno = ENOTSOCK;
		return -1;
	}
	return fd;
}

/* Sends one command from `socket` to the console at `path`; -1 with errno set. */
static int mconsole_send(int socket, const char *path, const char *command)
{
	struct mconsole_request request = {0xcafebabe, 2, 0, {0}};
	struct sockaddr_un target = {.sun_family = AF_UNIX};
	int file, sent, error;

	file = open_socket_file(path);
	if (file < 0)
		return -1;
	snprintf(target.sun_path, sizeof target.sun_path, "/proc/self/fd/%d", file);
	request.length = (uint32_t)strlen(command);
	memcpy(request.data, command, request.length);
	sent = (int)sendto(socket, &request, sizeof request, MSG_NOSIGNAL, (struct sockaddr *)&target, sizeof target);
	error = errno;
	close(file);
	errno = error;
	return sent < 0 ? -1 : 0;
}

/* Takes one part of an answer into text[*length, size); 0: more follows, 1: this was the last, -1: nothing there. */
static int mconsole_receive(int socket, char *text, size_t *length, size_t size, int *failed)
{
	struct mconsole_reply reply;
	ssize_t n = recv(socket, &reply, sizeof reply, MSG_DONTWAIT);
	size_t header = sizeof reply - sizeof reply.data, part, room = size - 1 - *length;

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

#endif

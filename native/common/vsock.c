/* AF_VSOCK as the multikernel patches have it. */
#include "vsock.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	FAMILY = 40,	   /* AF_VSOCK; the level of its options too */
	TRANSPORT = 9,	   /* SO_VM_SOCKETS_TRANSPORT, of the patches */
	MULTIKERNEL = 1,   /* VSOCK_TRANSPORT_MULTIKERNEL */
	RESERVED = 1023,   /* the last port that needs a right */
	LEAST = 512,
};
static const uint32_t ANYBODY = UINT32_MAX; /* VMADDR_CID_ANY */

/* struct sockaddr_vm of linux/vm_sockets.h */
struct address {
	uint16_t family, reserved;
	uint32_t port, cid;
	uint8_t flags, zero[3];
};

static int make(void) { return socket(FAMILY, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0); }

static int given_up(int fd)
{
	int error = errno;

	close(fd);
	errno = error;
	return -1;
}

static int bind_to(int fd, uint32_t port)
{
	struct address at = {.family = FAMILY, .port = port, .cid = ANYBODY};

	return bind(fd, (struct sockaddr *)&at, sizeof at);
}

static int choose_transport(int fd)
{
	int transport = MULTIKERNEL;

	return setsockopt(fd, FAMILY, TRANSPORT, &transport, sizeof transport);
}

int vsock_listen(uint32_t port)
{
	int fd = make();

	if (fd < 0)
		return -1;
	/* Which transport a connection comes by it says itself; whether a listener may choose is not known, and does not matter. */
	(void)choose_transport(fd);
	return bind_to(fd, port) != 0 || listen(fd, 1) != 0 ? given_up(fd) : fd;
}

int vsock_accept(int listener, uint32_t cid)
{
	struct address peer = {0};
	socklen_t size = sizeof peer;
	int fd = accept4(listener, (struct sockaddr *)&peer, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
		return -1;
	if (size == sizeof peer && peer.cid == cid && peer.port <= RESERVED)
		return fd;
	errno = EPERM;
	return given_up(fd);
}

int vsock_open_any(void)
{
	int fd = make();

	if (fd < 0)
		return -1;
	for (uint32_t port = RESERVED; port >= LEAST; port--)
		if (bind_to(fd, port) == 0)
			return fd;
		else if (errno != EADDRINUSE)
			break;
	return given_up(fd);
}

int vsock_open(void)
{
	int fd = vsock_open_any();

	return fd >= 0 && choose_transport(fd) != 0 ? given_up(fd) : fd;
}

int vsock_connect(int fd, uint32_t cid, uint32_t port)
{
	struct address to = {.family = FAMILY, .port = port, .cid = cid};

	return connect(fd, (struct sockaddr *)&to, sizeof to);
}

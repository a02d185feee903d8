/* The file that is being written, under a name by which one that a kernel has left that died is known. */
#include "partial.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "bytes.h"

static char partial[48]; /* what it is called, while there is one */
static int partial_at = -1; /* and its directory */
static int place_taken = -2; /* of those who unpack in this kernel; -1: none is known, -2: not asked yet */

/*
 * The least number that nobody else who unpacks in this kernel has, held until this process ends however it does; -1 where there
 * is none to be had.
 */
static int take_place(void)
{
	for (int i = 0; i < 100; i++) {
		struct sockaddr_un address = {.sun_family = AF_UNIX};
		socklen_t n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)snprintf(address.sun_path + 1, 16, "pk-cp-%d", i));
		int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		if (fd < 0) return -1;
		if (!bind(fd, (struct sockaddr *)&address, n)) return i;
		close(fd);
		if (errno != EADDRINUSE) return -1;
	}
	return -1;
}

int partial_open(int parent, mode_t mode)
{
	int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
	const char *owner = getenv("PK_COPY");
	if (place_taken == -2) place_taken = owner && strlen(owner) == 16 && strspn(owner, "0123456789abcdef") == 16 ? take_place() : -1;
	if (place_taken >= 0) {
		snprintf(partial, sizeof partial, ".pk-cp-%s-%d", owner, place_taken);
		int fd = openat(parent, partial, flags, mode);
		if (fd < 0 && errno == EEXIST && !unlinkat(parent, partial, 0)) fd = openat(parent, partial, flags, mode);
		if (fd >= 0) partial_at = parent;
		if (fd >= 0 || (errno != EEXIST && errno != EISDIR)) return fd;
	}
	u64 any = (u64)getpid(); /* a volume may have several kernels */
	getrandom(&any, sizeof any, GRND_NONBLOCK);
	snprintf(partial, sizeof partial, ".pk-cp-%016llx", (unsigned long long)any);
	int fd = openat(parent, partial, flags, mode);
	if (fd >= 0) partial_at = parent;
	return fd;
}

int partial_name(const char *name)
{
	if (renameat(partial_at, partial, partial_at, name)) return -1;
	partial_at = -1;
	return 0;
}

void partial_forget(void)
{
	if (partial_at >= 0) unlinkat(partial_at, partial, 0);
	partial_at = -1;
}

/* Memory with a ring in it: as a file, or held for a channel by a process of its own. */
#include "memory.h"

#include <signal.h>

#include "../common/keep.h"
#include "../common/fail.h"
#include "ends.h"

int create(const char *path, uint32_t data)
{
	struct pk_channel ch = map_path(path, O_CREAT | O_EXCL, (uint64_t)data + PK_RING_HEADER_BYTES);

	errno = 0;
	if (pk_ring_format(ch.memory, (uint32_t)ch.bytes, "pk-ring") != 0) {
		unlink(path);
		fail("the size must be a power of two from 4096 to 1073741824");
	}
	return 0;
}

/*
 * Holds the memory of a channel while no end of it does, for a daemon that may die: as a memfd, whose size is sealed so
 * that no end can cut it short under the other, with all its pages, so that none is missing later. FILE then says
 * `PID START_TIME FD`; the memory is /proc/PID/fd/FD, and its link text names NAME. With MEMORY, such a path, it takes over what another
 * keeper has left. Ends by SIGTERM and removes FILE; ends as well when FILE is gone, with its whole directory perhaps, or
 * names another keeper.
 */
int keep(const char *name, uint32_t data, const char *file, const char *memory)
{
	uint64_t bytes = (uint64_t)data + PK_RING_HEADER_BYTES, whole = 8192;
	char title[80];
	const struct timespec patience = { LOOK_MS / 1000, 0 };
	sigset_t signals;
	int fd;

	snprintf(title, sizeof title, "pk-channel:%s", name);
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	fd = memory != NULL ? open(memory, O_RDWR | O_CLOEXEC) : memfd_create(title, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		fail("%s", memory ? memory : "memfd_create");
	if (memory == NULL) {
		void *ring;

		/* A power of two, as a PCI BAR wants it; what lies behind the ring is never touched and takes no memory. */
		while (whole < bytes)
			whole *= 2;
		if (ftruncate(fd, (off_t)whole) < 0 || (errno = posix_fallocate(fd, 0, (off_t)bytes)) != 0)
			fail("there is not enough memory");
		ring = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (ring == MAP_FAILED)
			fail("mmap");
		if (pk_ring_format(ring, (uint32_t)bytes, name) != 0)
			fail("the size must be a power of two from 4096 to 1073741824");
		munmap(ring, bytes);
		if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
			fail("sealing the memory");
	}
	if (keep_begin(file, fd) != 0)
		fail("%s", file);
	while (sigtimedwait(&signals, NULL, &patience) < 0)
		if (!keep_is_wanted(file))
			return 0;
	unlink(file);
	return 0;
}

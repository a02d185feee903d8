#include "memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../common/fail.h"

/* Memory whose size nobody can change, for whoever may open our descriptor of it, and the program. */
int share_memory(long bytes)
{
	int fd = memfd_create("pk-line", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || ftruncate(fd, bytes) != 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0 ||
	    dup3(fd, MEMORY_FD, O_CLOEXEC) < 0)
		fail("--memory");
	return fd;
}

/* Paths, opened component by component and following no symbolic link. */
#include "paths.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../common/fail.h"

/* From linux/stat.h, which musl lacks. */
#define STATX_TYPE_BIT 1
#define STATX_MOUNT_BIT 0x1000

struct statx_answer {
	uint32_t mask, block;
	uint64_t attributes;
	uint32_t links, uid, gid;
	uint16_t mode, unused;
	uint64_t times_and_sizes[14], mount, more[13];
};

_Static_assert(offsetof(struct statx_answer, mount) == 144 && sizeof(struct statx_answer) == 256, "as linux/stat.h has it");

int glance_at(int fd, struct glance *glance)
{
	struct statx_answer answer;
	int flags = AT_EMPTY_PATH | AT_STATX_DONT_SYNC;

	if (syscall(SYS_statx, fd, "", flags, STATX_TYPE_BIT | STATX_MOUNT_BIT, &answer) != 0)
		return -1;
	*glance = (struct glance){answer.mode & S_IFMT, answer.mask & STATX_MOUNT_BIT ? answer.mount : 0};
	return 0;
}

/* Only we can change what is in this directory, and root. */
static int is_ours(const struct stat *st, unsigned long us)
{
	return (st->st_uid == 0 || st->st_uid == us) && (st->st_mode & 022) == 0;
}

/*
 * Opens an absolute path without following any link. *sheltered: whether nobody but us and root can put something else
 * in its place. Returns an O_PATH descriptor.
 */
int open_path(const char *path, int *sheltered)
{
	int at = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC), next;
	char part[256];
	struct stat st;
	struct glance glance;

	*sheltered = 1;
	if (*path != '/' || at < 0)
		refuse("%s is not an absolute path", path);
	for (;;) {
		size_t length;

		path += strspn(path, "/");
		length = strcspn(path, "/");
		if (length == 0)
			return at;
		if (length >= sizeof part) {
			errno = ENAMETOOLONG;
			return -1;
		}
		memcpy(part, path, length);
		part[length] = 0;
		path += length;
		if (strcmp(part, "..") == 0 || strcmp(part, ".") == 0) {
			errno = EINVAL;
			return -1;
		}
		if (fstat(at, &st) != 0 || !is_ours(&st, getuid()))
			*sheltered = 0;
		next = openat(at, part, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		if (next >= 0 && glance_at(next, &glance) == 0 && S_ISLNK(glance.type)) {
			close(next);
			next = -1;
			errno = ELOOP;
		}
		close(at);
		if (next < 0)
			return -1;
		at = next;
	}
}

int is_below(const char *path, const char *directory)
{
	size_t length = strlen(directory);

	if (length == 1)
		return 1;
	return strncmp(path, directory, length) == 0 && (path[length] == '/' || path[length] == 0);
}

/* What is made in the upper layer of a root that is not mounted yet. It shows instead of the lower one's: each directory has to be as that. */
#include "layers.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../common/fields.h"
#include "files.h"
#include "protocol.h"

/* Which not every C library comes with: the call, of Linux 5.6, and <linux/openat2.h>. */
enum { OPENAT2 = 437, RESOLVE_IN_ROOT = 0x10 };

struct open_how {
	uint64_t flags, mode, resolve;
};

/*
 * A directory of the upper layer with the mode and the owner of what it lies over. Through the overlay it would be copied up, which
 * takes an emulated guest longer. ENOTDIR: what it would lie over is none.
 */
int make_over(const char *lower, const char *upper)
{
	struct stat st;
	int is_there = !lstat(lower, &st);
	if (is_there && !S_ISDIR(st.st_mode)) return ENOTDIR;
	if (mkdir(upper, 0755)) return errno == EEXIST ? 0 : errno;
	return is_there && (chown(upper, st.st_uid, st.st_gid) || chmod(upper, st.st_mode & 07777)) ? errno : 0;
}

/* Whether the directory that PATH begins with is a symbolic link, or nothing: errno is ENOSYS as before. */
static int is_linked(int root, const char *path)
{
	struct stat st;
	char first[NAME_MAX + 1];
	snprintf(first, sizeof first, "%.*s", (int)strcspn(path, "/"), path);
	int is_linked = !!fstatat(root, first, &st, AT_SYMLINK_NOFOLLOW) || S_ISLNK(st.st_mode);
	return errno = ENOSYS, is_linked;
}

/* Symbolic links above the last part lead where they do once the layer is the root; an older kernel knows of none. A descriptor, or -1 and errno. */
int open_in_layer(const char *layer, const char *path, int flags)
{
	struct open_how how = {.flags = (unsigned)(flags | O_CLOEXEC), .resolve = RESOLVE_IN_ROOT};
	int root = open(layer, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0) return -1;
	int fd = (int)syscall(OPENAT2, root, path, &how, sizeof how);
	if (fd < 0 && errno == ENOSYS && !is_linked(root, path)) fd = openat(root, path, flags | O_CLOEXEC);
	int error = errno;
	close(root);
	return errno = error, fd;
}

/* The directory of LOWER that its /etc, a symbolic link, leads to: below LOWER, without a slash before it. 0, or an errno. */
static int linked_etc(const char *lower, char *place, size_t size)
{
	char self[64], path[PATH_MAX];
	size_t above = strlen(lower);
	int fd = open_in_layer(lower, "etc", O_PATH | O_DIRECTORY);
	if (fd < 0) return errno;
	snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
	ssize_t length = readlink(self, path, sizeof path - 1);
	close(fd);
	if (length < 0) return errno;
	path[length] = 0;
	if (strncmp(path, lower, above) || path[above] != '/' || (size_t)length - above > size) return ENOENT;
	return strcpy(place, path + above + 1), 0;
}

/* LOWER and UPPER: makes /etc in the upper layer. One that is a symbolic link is one there, too: to the same place, made as it is. */
int etc_room(char *spec)
{
	char *field[3], lower[2 * PATH_MAX], upper[2 * PATH_MAX], place[PATH_MAX];
	if (split_fields(spec, FIELD, field, 3) < 2 || strlen(field[0]) >= PATH_MAX || strlen(field[1]) >= PATH_MAX) return EINVAL;
	int error = make_directory(field[1], 0755);
	snprintf(lower, sizeof lower, "%s/etc", field[0]);
	snprintf(upper, sizeof upper, "%s/etc", field[1]);
	if (error || (error = make_over(lower, upper)) != ENOTDIR) return error;
	if (linked_etc(field[0], place, sizeof place)) return mkdir(upper, 0755) && errno != EEXIST ? errno : 0;
	if (symlink(place, upper)) return errno == EEXIST ? 0 : errno;
	for (char *slash = place;; *slash++ = '/') {
		if ((slash = strchr(slash, '/'))) *slash = 0;
		snprintf(lower, sizeof lower, "%s/%s", field[0], place);
		snprintf(upper, sizeof upper, "%s/%s", field[1], place);
		if ((error = make_over(lower, upper)) || !slash) return error;
	}
}

#include "files.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* mkdir with parents. 0 or an errno. `mode` is given to the last directory if it is created. */
int make_directory(const char *path, mode_t mode)
{
	char copy[4096];
	size_t n = strlen(path);
	struct stat st;
	if (!n || n >= sizeof copy) return n ? ENAMETOOLONG : EINVAL;
	if (!stat(path, &st)) return S_ISDIR(st.st_mode) ? 0 : ENOTDIR;
	memcpy(copy, path, n + 1);
	for (char *p = copy + 1; *p; p++)
		if (*p == '/') {
			*p = 0;
			if (mkdir(copy, 0755) && errno != EEXIST && errno != EROFS) return errno;
			*p = '/';
		}
	if (mkdir(copy, 0755)) return errno == EEXIST ? 0 : errno;
	return chmod(copy, mode) ? errno : 0;
}

int write_file(const char *path, const char *text)
{
	int flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, error = 0;
	size_t length = strlen(text);
	int fd = open(path, flags, 0644);
	if (fd < 0 && errno == ELOOP && !unlink(path)) fd = open(path, flags, 0644);
	if (fd < 0) return errno;
	if (length && write(fd, text, length) != (ssize_t)length) error = errno ? errno : EIO;
	close(fd);
	return error;
}

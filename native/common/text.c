#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* Closes without touching errno. */
static void leave_file(int fd)
{
	int error = errno;

	if (fd >= 0)
		close(fd);
	errno = error;
}

ssize_t read_text(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, size - 1);

	leave_file(fd);
	text[n > 0 ? n : 0] = 0;
	return n;
}

int write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	size_t length = strlen(text);
	ssize_t n = fd < 0 ? -1 : write(fd, text, length);

	if (n >= 0 && n != (ssize_t)length)
		errno = EIO;
	leave_file(fd);
	return n == (ssize_t)length ? 0 : -1;
}

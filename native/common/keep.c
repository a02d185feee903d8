/* See keep.h: processes that outlive who started them. */
#include "keep.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "start-time.h"

int keep_is_wanted(const char *file)
{
	char text[32] = "";
	int fd = open(file, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return errno != ENOENT && errno != ENOTDIR;
	(void)!read(fd, text, sizeof text - 1);
	close(fd);
	return atoi(text) == (int)getpid();
}

int keep_begin(const char *file, int fd)
{
	char temporary[PATH_MAX], text[64];
	int out, length = snprintf(text, sizeof text, "%d %llu", (int)getpid(), (unsigned long long)own_start_time());

	if (fd >= 0)
		length += snprintf(text + length, sizeof text - (size_t)length, " %d", fd);
	text[length++] = '\n';

	setsid();
	signal(SIGPIPE, SIG_IGN), signal(SIGHUP, SIG_IGN), signal(SIGINT, SIG_IGN);
	snprintf(temporary, sizeof temporary, "%s.%d", file, (int)getpid());
	out = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (out < 0 || write(out, text, (size_t)length) != length || close(out) != 0 || rename(temporary, file) != 0)
		return -1;
	puts("ready");
	fflush(stdout);
	out = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int i = 0; i < 3; i++)
		dup2(out, i);
	(void)!chdir("/");
	return 0;
}

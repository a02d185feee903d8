/* Descriptors of the program: those that it inherits, and its ends of socket pairs. */
#include "descriptors.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../common/descriptor.h"
#include "../common/fail.h"

/* Closes every inherited descriptor above 2 that is neither to be passed on nor `held`. */
void close_inherited(const struct passed *passed, int held)
{
	DIR *directory = opendir("/proc/self/fd");
	struct dirent *entry;
	int fd, i, victims[1024], n = 0;

	if (directory == NULL)
		fail("/proc/self/fd");
	while ((entry = readdir(directory)) != NULL) {
		fd = atoi(entry->d_name);
		for (i = 0; i < passed->count && passed->fds[i] != fd; i++)
			;
		if (fd > 2 && i == passed->count && fd != held && fd != dirfd(directory) && n < 1024)
			victims[n++] = fd;
	}
	closedir(directory);
	while (n > 0)
		close(victims[--n]);
}

/* A socket pair: our end is returned, the program's is moved out of the way of the numbers it will get. */
int pair(int *theirs)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0 || (*theirs = fcntl(ends[1], F_DUPFD_CLOEXEC, ABOVE_PASSED)) < 0)
		fail("socketpair");
	close(ends[1]);
	take_no_descriptors(ends[0]);
	return ends[0];
}

/* Reads a list of inherited descriptors, `most` at most, which are marked so that a program does not get them unasked. */
int parse_list(const char *option, char *list, int *numbers, int most)
{
	int count = 0;
	char *item, *end;

	for (item = strtok(list, ","); item != NULL; item = strtok(NULL, ",")) {
		long fd = strtol(item, &end, 10);

		errno = 0;
		if (*end != 0 || fd < FIRST_PASSED || fd >= ABOVE_PASSED || count == most)
			fail("%s: %d descriptors from 5 to 63 are wanted, not %s", option, most, item);
		if (fcntl((int)fd, F_GETFD) < 0 || fcntl((int)fd, F_SETFD, FD_CLOEXEC) != 0)
			fail("%s: %ld", option, fd);
		numbers[count++] = (int)fd;
	}
	return count;
}

/* The program gets it behind those that were inherited. */
void pass_next(struct passed *passed, int fd, const char *option, const char *value)
{
	int theirs = FIRST_PASSED + passed->count;

	if (passed->count == PASSED_MAX)
		fail("%s: too many descriptors", option);
	if (fd < 0 || dup2(fd, theirs) < 0)
		fail("%s %s", option, value);
	if (fd != theirs)
		close(fd);
	passed->fds[passed->count++] = theirs;
}

/*
 * pk-sysfs DIRECTORY: reads and writes small files below DIRECTORY (/sys) for who asks on standard input, until its end. A write to
 * such a file may take minutes and cannot be broken off: each has a process of its own, so that neither who asks nor other
 * requests wait for it. src/sriov/sysfs-process.ts is the other side.
 *
 * A request is a line of fields with tabs between them, an answer too, which begins with the request's number:
 *
 *   N read DIR NAME...    N ok VALUE...    first lines of files after `=`, last parts of where links lead after `>`, `-`: not there
 *   N list DIR            N ok NAME...     none where there is no such directory
 *   N lines FILE          N ok LINE...     none where there is no such file
 *   N slow FILE           N ok =VALUE      of a file that may keep its reader waiting
 *   N bytes FILE AT       N ok =HEX        four bytes from there
 *   N write FILE TEXT     N ok
 *   N nvme NAME COUNT     N ok =NUMBER   of secondary controllers that are online then (nvme.h)
 *
 * What fails is answered with N errno NUMBER.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../common/fail.h"
#include "../common/fields.h"
#include "nvme.h"

#define MOST_FIELDS 4096
#define MOST_REQUEST (256 * 1024)
#define MOST_VALUE 4096
#define MOST_SLOW 512

const char program_name[] = "pk-sysfs";

static int below; /* the directory */
static int answers[2]; /* of those apart, to us: what one writes must not come into the midst of another's */

/* Neither back up nor from the root: what is asked for lies in the directory. */
static int is_inside(const char *path)
{
	if (*path == '/' || *path == 0)
		return 0;
	for (const char *part = path; part != NULL; part = strchr(part, '/')) {
		part += *part == '/';
		if (strncmp(part, "..", 2) == 0 && (part[2] == '/' || part[2] == 0))
			return 0;
	}
	return 1;
}

static void put_text(const char *text)
{
	for (; *text; text++)
		putchar((unsigned char)*text < ' ' || *text == 127 ? '?' : *text);
}

static void put_errno(const char *number, int error)
{
	printf("%s\terrno\t%d\n", number, error);
}

/* The first line of a file. Returns 0, or -1 with errno. */
static int first_line(int directory, const char *name, char *text, size_t size)
{
	int fd = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n = fd < 0 ? -1 : read(fd, text, size - 1);
	int error = errno;

	if (fd >= 0)
		close(fd);
	errno = error;
	text[n > 0 ? n : 0] = 0;
	text[strcspn(text, "\n")] = 0;
	return n < 0 ? -1 : 0;
}

static void put_entry(int directory, const char *name)
{
	char text[MOST_VALUE];
	ssize_t n = readlinkat(directory, name, text, sizeof text - 1);

	putchar('\t');
	if (n >= 0) {
		char *last;

		text[n] = 0;
		last = strrchr(text, '/');
		putchar('>');
		put_text(last == NULL ? text : last + 1);
	} else if (errno == EINVAL && first_line(directory, name, text, sizeof text) == 0) {
		putchar('=');
		put_text(text);
	} else
		putchar('-');
}

static void read_entries(const char *number, const char *path, char **names, int count)
{
	int directory = openat(below, path, O_DIRECTORY | O_RDONLY | O_CLOEXEC);

	printf("%s\tok", number);
	for (int i = 0; i < count; i++)
		if (directory < 0 || !is_inside(names[i]))
			fputs("\t-", stdout);
		else
			put_entry(directory, names[i]);
	putchar('\n');
	if (directory >= 0)
		close(directory);
}

static void list_entries(const char *number, const char *path)
{
	int fd = openat(below, path, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	DIR *directory = fd < 0 ? NULL : fdopendir(fd);

	printf("%s\tok", number);
	for (struct dirent *entry; directory != NULL && (entry = readdir(directory)) != NULL;) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		putchar('\t');
		put_text(entry->d_name);
	}
	putchar('\n');
	if (directory != NULL)
		closedir(directory);
}

static void put_lines(const char *number, const char *path)
{
	char text[MOST_VALUE];
	int fd = openat(below, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);

	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = 0;
	printf("%s\tok", number);
	for (char *line = text; *line;) {
		char *end = line + strcspn(line, "\n");
		int is_last = *end == 0;

		*end = 0;
		putchar('\t');
		put_text(line);
		line = is_last ? end : end + 1;
	}
	putchar('\n');
}

static int write_file(const char *path, const char *text)
{
	int fd = openat(below, path, O_WRONLY | O_CLOEXEC);
	char line[MOST_VALUE];
	/* As a line: an empty one means something, and an empty write would be none. */
	int length = snprintf(line, sizeof line, "%s\n", text);
	ssize_t n = fd < 0 ? -1 : write(fd, line, length < (int)sizeof line ? (size_t)length : 0);

	if (n >= 0 && n != length)
		errno = EIO;
	return n == length ? 0 : -1;
}

static int bring_online(const char *name, const char *count, char *text, size_t size)
{
	int online = secondaries_online(name, (int)strtol(count, NULL, 10));

	if (online < 0)
		return -1;
	snprintf(text, size, "%d", online);
	return 0;
}

static int four_bytes(const char *path, const char *at, char *text, size_t size)
{
	unsigned char bytes[4];
	int fd = openat(below, path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : pread(fd, bytes, sizeof bytes, strtol(at, NULL, 10));

	if (n >= 0 && n != sizeof bytes)
		errno = ENODATA;
	if (n != sizeof bytes)
		return -1;
	snprintf(text, size, "%02x%02x%02x%02x", bytes[0], bytes[1], bytes[2], bytes[3]);
	return 0;
}

/* In a process of its own. */
static void apart(const char *number, const char *operation, const char *path, const char *argument)
{
	char text[MOST_SLOW / 2], answer[MOST_SLOW];
	int is_write = strcmp(operation, "write") == 0, status, length;
	pid_t pid = fork();

	if (pid < 0)
		put_errno(number, errno);
	if (pid != 0)
		return;
	if (is_write)
		status = write_file(path, argument);
	else if (strcmp(operation, "slow") == 0)
		status = first_line(below, path, text, sizeof text);
	else if (strcmp(operation, "nvme") == 0)
		status = bring_online(path, argument, text, sizeof text);
	else
		status = four_bytes(path, argument, text, sizeof text);
	if (status != 0)
		length = snprintf(answer, sizeof answer, "%.32s\terrno\t%d\n", number, errno);
	else
		length = snprintf(answer, sizeof answer, is_write ? "%.32s\tok\n" : "%.32s\tok\t=%s\n", number, text);
	_exit(send(answers[1], answer, (size_t)length, 0) == length ? 0 : 1);
}

static void serve(char *line)
{
	static char *field[MOST_FIELDS];
	int count = split_fields(line, '\t', field, MOST_FIELDS);
	const char *number = field[0], *operation = field[1];

	if (count < 3 || !is_inside(field[2]))
		put_errno(number, EINVAL);
	else if (strcmp(operation, "read") == 0)
		read_entries(number, field[2], field + 3, count - 3);
	else if (strcmp(operation, "list") == 0)
		list_entries(number, field[2]);
	else if (strcmp(operation, "lines") == 0)
		put_lines(number, field[2]);
	else if (strcmp(operation, "slow") == 0 || strcmp(operation, "write") == 0 || strcmp(operation, "bytes") == 0 ||
		 strcmp(operation, "nvme") == 0)
		apart(number, operation, field[2], field[3]);
	else
		put_errno(number, ENOSYS);
	if (fflush(stdout) != 0)
		fail("answering");
}

/* Serves the lines that are whole; the rest stays. Returns how many bytes that is. */
static size_t serve_lines(char *text, size_t length)
{
	char *start = text, *end;

	while ((end = memchr(start, '\n', length - (size_t)(start - text))) != NULL) {
		*end = 0;
		serve(start);
		start = end + 1;
	}
	length -= (size_t)(start - text);
	memmove(text, start, length);
	return length;
}

int main(int argc, char **argv)
{
	static char text[MOST_REQUEST];
	struct pollfd of[2] = {{.fd = STDIN_FILENO, .events = POLLIN}};
	size_t length = 0;

	if (argc != 2)
		refuse("usage: pk-sysfs DIRECTORY");
	below = open(argv[1], O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (below < 0)
		fail("%s", argv[1]);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, answers) != 0)
		fail("making a socket");
	of[1] = (struct pollfd){.fd = answers[0], .events = POLLIN};
	/* Those apart are waited for by nobody. */
	signal(SIGCHLD, SIG_IGN);
	for (;;) {
		if (poll(of, 2, -1) < 0)
			fail("waiting");
		if (of[1].revents) {
			char answer[MOST_SLOW];
			ssize_t n = recv(answers[0], answer, sizeof answer, 0);

			if (n > 0 && (fwrite(answer, 1, (size_t)n, stdout) != (size_t)n || fflush(stdout) != 0))
				fail("answering");
		}
		if (of[0].revents) {
			ssize_t n = read(STDIN_FILENO, text + length, sizeof text - length);

			if (n < 0)
				fail("reading requests");
			if (n == 0)
				return 0;
			length = serve_lines(text, length + (size_t)n);
			if (length == sizeof text)
				refuse("a request is too long");
		}
	}
}

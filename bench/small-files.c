/*
 * small-files DIRECTORY COUNT [read-only]: microseconds for each of COUNT files of 100 bytes, to create, stat, read and unlink
 * them: `create N.N` and so on, a line each. `read-only`: stats and reads what is there already, and makes nothing.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static char text[100];

static int create(const char *name)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0644);

	return fd < 0 || write(fd, text, sizeof text) != sizeof text || close(fd) != 0;
}

static int look(const char *name)
{
	struct stat st;

	return stat(name, &st) != 0 || st.st_size != sizeof text;
}

static int take(const char *name)
{
	char seen[sizeof text];
	int fd = open(name, O_RDONLY);

	return fd < 0 || read(fd, seen, sizeof seen) != sizeof seen || close(fd) != 0;
}

int main(int argc, char **argv)
{
	static const struct { const char *name; int (*run)(const char *); } steps[] = {
		{"create", create}, {"stat", look}, {"read", take}, {"unlink", unlink},
	};
	int count = argc < 3 ? 0 : atoi(argv[2]), from = argc > 3, to = argc > 3 ? 3 : 4;

	if (count < 1 || chdir(argv[1]) != 0)
		return 2;
	for (int i = from; i < to; i++) {
		struct timespec began, ended;

		clock_gettime(CLOCK_MONOTONIC, &began);
		for (int n = 0; n < count; n++) {
			char name[32];

			snprintf(name, sizeof name, "%d/%d", n % 100, n);
			if (steps[i].run(name) != 0) {
				perror(name);
				return 1;
			}
		}
		clock_gettime(CLOCK_MONOTONIC, &ended);
		printf("%s %.2f\n", steps[i].name, ((double)(ended.tv_sec - began.tv_sec) * 1e9 + (double)(ended.tv_nsec - began.tv_nsec)) / 1e3 / count);
	}
	return 0;
}

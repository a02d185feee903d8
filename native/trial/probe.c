/* The neighbour's side of a trial: does small pieces of work at a steady rate and writes down how late each one was. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "../common/clock.h"
#include "../common/fail.h"
#include "trial.h"

#define PIECE 4096
#define PAGES 16
#define HASHED 16384
#define TOLD_NS 100000000 /* results are written so often, lest writing them be what is measured */
#define CLOCK_NS 500000000

static const char scratch[] = "/run/pk-trial-scratch";
static char told[1 << 16];
static size_t told_bytes;
static volatile uint32_t sink;

static void flush(void)
{
	for (size_t at = 0; at < told_bytes;) {
		ssize_t n = write(1, told + at, told_bytes - at);

		if (n < 0 && errno != EINTR)
			exit(0); /* nobody wants to know any more */
		at += n > 0 ? (size_t)n : 0;
	}
	told_bytes = 0;
}

/* One unit of work that a server might do: 0, or the errno of what failed. */
static int request(int pipe_fd[2], int file)
{
	static unsigned char piece[PIECE];
	uint32_t hash = 2166136261u;

	for (int i = 0; i < HASHED; i++)
		hash = (hash ^ piece[i % PIECE]) * 16777619u;
	sink = hash;
	piece[hash % PIECE] = (unsigned char)hash;
	char *memory = mmap(NULL, PAGES * PIECE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return errno;
	for (int i = 0; i < PAGES; i++)
		memory[i * PIECE] = 1;
	munmap(memory, PAGES * PIECE);
	if (write(pipe_fd[1], piece, 512) != 512 || read(pipe_fd[0], piece, 512) != 512)
		return errno ? errno : EIO;
	int fd = open(scratch, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return errno;
	int failed = write(fd, piece, PIECE) == PIECE ? 0 : errno ? errno : ENOSPC;
	close(fd);
	unlink(scratch);
	if (!failed && file >= 0 && (pwrite(file, piece, PIECE, 0) != PIECE || fdatasync(file)))
		failed = errno ? errno : EIO;
	return failed;
}

static void tell(char kind, uint64_t index, uint64_t value)
{
	told_bytes += (size_t)snprintf(told + told_bytes, sizeof told - told_bytes, "%c %" PRIu64 " %" PRIu64 "\n", kind, index, value);
}

static void sleep_until(uint64_t ns)
{
	uint64_t now = now_ns();
	struct timespec rest = {(time_t)((ns - now) / 1000000000), (long)((ns - now) % 1000000000)};

	if (now < ns)
		nanosleep(&rest, NULL);
}

void probe(unsigned long period_us, unsigned long seconds, const char *path)
{
	int pipe_fd[2], file = -1;
	uint64_t period = (uint64_t)period_us * 1000, clock_told = 0;

	if (period == 0)
		refuse("PERIOD_US is 0");
	if (pipe2(pipe_fd, O_CLOEXEC))
		fail("pipe");
	if (path && (file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600)) < 0)
		fail("%s", path);
	/* The first one of its kind costs what none after it does. */
	request(pipe_fd, file);
	uint64_t begun = now_ns(), flushed = begun;
	memcpy(told, "begin\n", told_bytes = 6);
	flush();
	for (uint64_t index = 0; index * period < (uint64_t)seconds * 1000000000; index++) {
		uint64_t due = begun + index * period;

		sleep_until(due);
		errno = 0;
		int failed = request(pipe_fd, file);
		uint64_t now = now_ns();
		if (failed)
			tell('x', index, (uint64_t)failed);
		else
			tell('r', index, (now - due) / 1000);
		if (now - clock_told >= CLOCK_NS) {
			struct timespec wall;

			clock_gettime(CLOCK_REALTIME, &wall);
			told_bytes += (size_t)snprintf(told + told_bytes, sizeof told - told_bytes, "c %" PRIu64 "\n",
						       (uint64_t)wall.tv_sec * 1000 + (uint64_t)wall.tv_nsec / 1000000);
			clock_told = now;
		}
		if (now - flushed >= TOLD_NS || told_bytes > sizeof told - 256) {
			flush();
			flushed = now;
		}
	}
	flush();
}

/*
 * Memory that the host takes back: held here, in pieces, and touched by nobody, so that the host can free what is behind it. The host
 * is told where it lies, and what it then frees is the guest's own: a wrong place would cost nobody else anything.
 */
#define _GNU_SOURCE
#include "balloon.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../common/text.h"

enum { PAGE = 4096, PIECE = 1 << 20, PAGES = PIECE / PAGE, PIECES_MOST = 65536 };

#define PAGE_MAP "/proc/self/pagemap"
#define PRESENT (1ull << 63)
#define FRAME ((1ull << 55) - 1)
/* Left to programs: nobody is to be killed for what the host takes. */
#define LEFT_KIB (24 * 1024)

static void *pieces[PIECES_MOST];
static size_t held;

static long available_kib(void)
{
	char text[4096], *at;
	if (read_text("/proc/meminfo", text, sizeof text) <= 0 || !(at = strstr(text, "MemAvailable:"))) return 0;
	return strtol(at + sizeof "MemAvailable:" - 1, NULL, 10);
}

/* Where the pages of a piece lie, as "frame+count" with commas between. */
static int tell_frames(const void *piece, char *text, size_t size)
{
	uint64_t entries[PAGES], first = 0, count = 0;
	size_t length = 0;
	int fd = open(PAGE_MAP, O_RDONLY | O_CLOEXEC);
	if (fd < 0) return errno;
	ssize_t n = pread(fd, entries, sizeof entries, (off_t)((uintptr_t)piece / PAGE * sizeof *entries));
	close(fd);
	if (n != (ssize_t)sizeof entries) return EIO;
	for (size_t i = 0; i <= PAGES; i++) {
		uint64_t frame = i < PAGES ? entries[i] & FRAME : 0;
		if (i < PAGES && (!(entries[i] & PRESENT) || !frame)) return EPERM;
		if (count && i < PAGES && frame == first + count) {
			count++;
			continue;
		}
		if (count) length += (size_t)snprintf(text + length, size - length, "%s%llx+%llx", length ? "," : "", (unsigned long long)first, (unsigned long long)count);
		if (length >= size) return E2BIG;
		first = frame, count = 1;
	}
	return 0;
}

/* A process that is started here shares nothing of it: it would have as many page tables to copy. */
static int take_piece(char *answer, size_t size)
{
	if (held == PIECES_MOST || available_kib() < LEFT_KIB + PIECE / 1024) return ENOMEM;
	void *piece = mmap(NULL, PIECE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (piece == MAP_FAILED) return errno;
	int error = madvise(piece, PIECE, MADV_DONTFORK) || mlock(piece, PIECE) ? errno : tell_frames(piece, answer, size);
	if (error) munmap(piece, PIECE);
	else pieces[held++] = piece;
	return error;
}

/*
 * `value`: MiB that are to be held here; empty: as many as are. Lets go of what is too much, or takes one piece more; answers with how many
 * MiB are held and, of a piece that was taken, where its pages lie.
 */
int set_balloon(const char *value, char *answer, size_t size)
{
	size_t wanted = *value ? strtoul(value, NULL, 10) : held, before = held;
	char frames[BALLOON_ANSWER - 32] = "";
	while (held > wanted) munmap(pieces[--held], PIECE);
	int error = held < wanted ? take_piece(frames, sizeof frames) : 0;
	if (error) return error;
	snprintf(answer, size, "held=%zu%s%s", held, held > before ? " at=" : "", frames);
	return 0;
}

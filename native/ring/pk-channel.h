/*
 * pk-channel: channels by name for C programs, in a guest or on the host. A channel is a ring (pk-ring.h) in memory that a
 * daemon has made known by a descriptor: docs/channel.md. Linux only; needs nothing but this header and pk-ring.h.
 *
 *   struct pk_channel ch;
 *   if (pk_channel_open(&ch, "orders", PK_CHANNEL_RECV) != 0) { fprintf(stderr, "%s\n", ch.error); exit(1); }
 *   const void *message; uint32_t length;
 *   while ((message = pk_channel_receive(&ch, &length)) != NULL) { ...; pk_channel_release(&ch, length); }
 *   pk_channel_leave(&ch, PK_RING_DETACHED);
 *
 * A channel belongs to one thread. Functions return 0 or a negative enum pk_ring_result, and say why in `error`.
 */
#ifndef PK_CHANNEL_H
#define PK_CHANNEL_H

#include "pk-ring.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum pk_channel_side { PK_CHANNEL_SEND, PK_CHANNEL_RECV };

/* A bell that goes through a daemon may get lost with it: a sleeper looks again this often. */
#define PK_CHANNEL_RELAYED_MS 1000
/* Looks at the ring before sleeping: about what a sleep and a wake-up cost together. */
#define PK_CHANNEL_SPINS 4000
/*
 * And then looks that give the CPU to others in between: a wake-up that goes through daemons takes a millisecond, and who
 * relays it may need the CPU that we spin on.
 */
#define PK_CHANNEL_RELAYED_YIELDS 400

struct pk_channel {
	struct pk_ring ring;
	void *memory;
	uint64_t offset, bytes;
	int fd;                  /* holds the lock on the side */
	int bell;                /* FIFO of who manages the channel; -1: none */
	uint32_t number;         /* what is written to it */
	int relayed;             /* the other side is in another kernel: woken through the bell */
	_Atomic uint32_t *sleep; /* word to sleep on; NULL: the ring's own attention word */
	uint32_t heard;          /* its value at the end of the last sleep */
	uint32_t spins, yields;  /* looks before sleeping */
	char error[256];
};

static inline void pk_channel_relax(void)
{
#if defined __x86_64__
	__builtin_ia32_pause();
#elif defined __aarch64__
	__asm__ volatile("yield");
#endif
}

static inline int pk_channel_refuse(struct pk_channel *ch, int result, const char *what, const char *why)
{
	snprintf(ch->error, sizeof ch->error, "%.127s: %.120s", what, why);
	return result;
}

static inline int pk_channel_explain(struct pk_channel *ch, const char *what, int result)
{
	return pk_channel_refuse(ch, result, what,
		result == PK_RING_ENDED ? "the other side has closed" :
		result == PK_RING_TOO_LONG ? "the message is too long" :
		result == PK_RING_NOT_A_RING ? "the memory holds no ring" :
		pk_ring_fault_text(result == PK_RING_BROKEN ? ch->ring.fault & 0x7fffffffu : PK_RING_NO_FAULT));
}

/* Tells who manages the channel; it relays to the other side and looks at the header. A full FIFO has been told enough. */
static inline void pk_channel_tell(struct pk_channel *ch)
{
	char text[16];
	int length = snprintf(text, sizeof text, "%u\n", ch->number);

	if (ch->bell >= 0)
		(void)!write(ch->bell, text, (size_t)length);
}

static inline long pk_channel_futex(_Atomic uint32_t *word, int operation, uint32_t value, const struct timespec *timeout)
{
	return syscall(SYS_futex, word, operation, value, timeout, NULL, 0);
}

/* Wakes the other side, whether it sleeps or not. */
static inline void pk_channel_ring(struct pk_channel *ch)
{
	if (ch->relayed)
		pk_channel_tell(ch);
	else
		pk_channel_futex(&ch->ring.theirs->attention, 1 /* FUTEX_WAKE */, 1, NULL);
}

/* Sleeps until rung, at most `milliseconds` (-1: no limit). May return early. */
static inline void pk_channel_park(struct pk_channel *ch, int milliseconds)
{
	struct timespec time;

	if (ch->relayed && (milliseconds < 0 || milliseconds > PK_CHANNEL_RELAYED_MS))
		milliseconds = PK_CHANNEL_RELAYED_MS;
	time.tv_sec = milliseconds / 1000;
	time.tv_nsec = (long)(milliseconds % 1000) * 1000000;
	pk_channel_futex(ch->sleep ? ch->sleep : &ch->ring.mine->attention, 0 /* FUTEX_WAIT */,
		ch->sleep ? ch->heard : PK_RING_ASLEEP, milliseconds < 0 ? NULL : &time);
	if (ch->sleep)
		ch->heard = atomic_load(ch->sleep);
}

/*
 * The number in a path through a process may be another user's by now: what that has open is not opened before it is known whose it is.
 */
static inline int pk_channel_file(const char *path)
{
	int place = strncmp(path, "/proc/", 6) == 0 ? open(path, 010000000 /* O_PATH */ | O_CLOEXEC) : -1, fd = -1;
	struct stat status;
	char again[32];

	if (place < 0)
		return strncmp(path, "/proc/", 6) == 0 ? -1 : open(path, O_RDWR | O_CLOEXEC);
	snprintf(again, sizeof again, "/proc/self/fd/%d", place);
	if (fstat(place, &status) == 0 && S_ISREG(status.st_mode) && (status.st_uid == 0 || status.st_uid == geteuid()))
		fd = open(again, O_RDWR | O_CLOEXEC);
	else
		errno = EACCES;
	close(place);
	return fd;
}

static inline void *pk_channel_map(struct pk_channel *ch, const char *path, uint64_t offset, uint64_t bytes)
{
	void *memory = MAP_FAILED;

	ch->fd = pk_channel_file(path);
	if (ch->fd >= 0)
		memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, ch->fd, (off_t)offset);
	return memory == MAP_FAILED ? NULL : memory;
}

/* Between two looks. */
static inline void pk_channel_pause(const struct pk_channel *ch, uint32_t look)
{
	if (look < ch->spins)
		pk_channel_relax();
	else if (ch->yields > 0)
		sched_yield();
}

/* The value of `key` in a descriptor; NULL when it has none. Ends at the line end. */
static inline const char *pk_channel_value(const char *text, const char *key)
{
	size_t length = strlen(key);

	for (const char *line = text; line != NULL && *line != 0; line = strchr(line, '\n'), line += line != NULL)
		if (strncmp(line, key, length) == 0 && line[length] == '=')
			return line + length + 1;
	return NULL;
}

static inline int pk_channel_text(const char *text, const char *key, char path[256])
{
	const char *value = pk_channel_value(text, key);
	size_t length = value ? strcspn(value, "\n") : 0;

	if (length == 0 || length > 255)
		return -1;
	memcpy(path, value, length);
	path[length] = 0;
	return 0;
}

static inline int pk_channel_number(const char *text, const char *key, uint64_t most, uint64_t *number)
{
	const char *value = pk_channel_value(text, key);
	char *end;

	if (value == NULL || *value < '0' || *value > '9')
		return -1;
	*number = strtoull(value, &end, 10);
	return *number > most || (*end != '\n' && *end != 0) ? -1 : 0;
}

/* Maps the memory of a channel and notes how its bells go; takes no side. `name`: in $PK_CHANNELS or /run/pk/channels. */
static inline int pk_channel_find(struct pk_channel *ch, const char *name, char sides[256])
{
	const char *directory = getenv("PK_CHANNELS"), *peer;
	char path[4096], text[4096], memory[256], sleep[256], bell[256];
	uint64_t offset, bytes, number, sleep_offset = 0;
	struct stat status;
	ssize_t length;
	int fd;

	memset(ch, 0, sizeof *ch);
	ch->fd = ch->bell = -1;
	ch->spins = PK_CHANNEL_SPINS;
	if (*name == 0 || *name == '.' || strchr(name, '/') != NULL)
		return pk_channel_refuse(ch, PK_RING_NOT_A_RING, name, "this cannot be the name of a channel");
	snprintf(path, sizeof path, "%.4000s/%.63s", directory && *directory ? directory : "/run/pk/channels", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	/* It says which files are written to: not to be believed when it is another user's. */
	if (fd >= 0 && (fstat(fd, &status) != 0 || (status.st_uid != 0 && status.st_uid != geteuid()))) {
		close(fd);
		return pk_channel_refuse(ch, PK_RING_NOT_A_RING, path, "it belongs to another user");
	}
	length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	if (fd >= 0)
		close(fd);
	if (length < 0)
		return pk_channel_refuse(ch, PK_RING_NOT_A_RING, path, errno == ENOENT ? "no channel of that name has an end here" : strerror(errno));
	text[length] = 0;
	peer = pk_channel_value(text, "peer");
	if (pk_channel_text(text, "memory", memory) || pk_channel_text(text, "bell", bell) || peer == NULL ||
	    pk_channel_number(text, "offset", INT64_MAX, &offset) || pk_channel_number(text, "bytes", 1ull << 31, &bytes) ||
	    pk_channel_number(text, "number", UINT32_MAX, &number))
		return pk_channel_refuse(ch, PK_RING_NOT_A_RING, path, "the description of the channel is not sound");
	if (pk_channel_text(text, "sides", sides))
		*sides = 0;
	ch->number = (uint32_t)number;
	ch->relayed = strncmp(peer, "bell", 4) == 0;
	ch->yields = ch->relayed ? PK_CHANNEL_RELAYED_YIELDS : 0;
	ch->offset = offset;
	ch->bytes = bytes;
	ch->memory = pk_channel_map(ch, memory, offset, bytes);
	if (ch->memory == NULL)
		return pk_channel_refuse(ch, PK_RING_NOT_A_RING, memory, strerror(errno));
	if (pk_channel_text(text, "sleep", sleep) == 0) {
		struct pk_channel page = { .fd = -1 };
		char *words;

		if (pk_channel_number(text, "sleep-offset", 4092, &sleep_offset) || sleep_offset % 4)
			return pk_channel_refuse(ch, PK_RING_NOT_A_RING, path, "the description of the channel is not sound");
		words = pk_channel_map(&page, sleep, 0, 4096);
		if (words == NULL)
			return pk_channel_refuse(ch, PK_RING_NOT_A_RING, sleep, strerror(errno));
		close(page.fd);
		ch->sleep = (_Atomic uint32_t *)(words + sleep_offset);
		ch->heard = atomic_load(ch->sleep);
	}
	/* For reading too: without a reader, while no daemon runs, writing would be a SIGPIPE. */
	ch->bell = open(bell, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	return 0;
}

/* Becomes one side of memory that is mapped already. */
static inline int pk_channel_attach(struct pk_channel *ch, enum pk_channel_side side, const char *what)
{
	int result = side == PK_CHANNEL_SEND ? pk_ring_attach_producer(&ch->ring, ch->memory, ch->bytes, (uint32_t)getpid())
					     : pk_ring_attach_consumer(&ch->ring, ch->memory, ch->bytes, (uint32_t)getpid());

	if (result != 0)
		return pk_channel_explain(ch, what, result);
	pk_ring_wake(&ch->ring);
	pk_channel_ring(ch);
	if (!ch->relayed)
		pk_channel_tell(ch);
	return 0;
}

static inline int pk_channel_open(struct pk_channel *ch, const char *name, enum pk_channel_side side)
{
	const char *word = side == PK_CHANNEL_SEND ? "send" : "recv";
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1 };
	char sides[256];
	int result = pk_channel_find(ch, name, sides);

	if (result != 0)
		return result;
	if (strstr(sides, word) == NULL)
		return pk_channel_refuse(ch, PK_RING_NOT_A_RING, name, "this side of the channel is not here");
	lock.l_start = (off_t)(ch->offset + side);
	if (fcntl(ch->fd, 37 /* F_OFD_SETLK */, &lock) != 0 && (errno == EAGAIN || errno == EACCES))
		return pk_channel_refuse(ch, PK_RING_BROKEN, name, "another process has this side of the channel");
	return pk_channel_attach(ch, side, name);
}

/* What a failed call of the ring means for the other side, too. */
static inline int pk_channel_broken(struct pk_channel *ch, const char *what, int result)
{
	if (result == PK_RING_BROKEN) {
		if (pk_ring_wake(&ch->ring))
			pk_channel_ring(ch);
		pk_channel_tell(ch);
	}
	return pk_channel_explain(ch, what, result);
}

static inline int64_t pk_channel_now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

/*
 * The next message, to be released; waits at most `milliseconds` (-1: for ever). NULL: `*result` is PK_RING_EMPTY (time
 * is over), PK_RING_ENDED (the producer has closed) or PK_RING_BROKEN.
 */
static inline const void *pk_channel_next(struct pk_channel *ch, uint32_t *length, int milliseconds, int *result)
{
	struct pk_ring *ring = &ch->ring;
	int64_t end = milliseconds < 0 ? INT64_MAX : pk_channel_now() + milliseconds;

	for (;;) {
		const void *bytes = NULL;

		for (uint32_t i = 0; i <= ch->spins + ch->yields; i++) {
			bytes = pk_ring_peek(ring, length, result);
			if (bytes != NULL)
				return bytes;
			if (*result != PK_RING_EMPTY)
				break;
			pk_channel_pause(ch, i);
		}
		for (int armed = 0;; armed = 1) {
			if (*result == PK_RING_EMPTY)
				*result = pk_ring_why_empty(ring);
			if (*result != PK_RING_EMPTY || armed)
				break;
			pk_ring_count(&ring->mine->stalls, 1);
			pk_ring_arm(ring, 0);
			bytes = pk_ring_peek(ring, length, result);
			if (bytes != NULL)
				break;
		}
		if (bytes == NULL && *result == PK_RING_EMPTY) {
			int64_t left = milliseconds < 0 ? -1 : end - pk_channel_now();

			if (milliseconds >= 0 && left <= 0) {
				pk_ring_disarm(ring);
				return NULL;
			}
			pk_channel_park(ch, left > INT_MAX ? INT_MAX : (int)left);
		}
		pk_ring_disarm(ring);
		if (bytes != NULL)
			return bytes;
		if (*result != PK_RING_EMPTY) {
			pk_channel_broken(ch, "receive", *result);
			return NULL;
		}
	}
}

/* The same for ever, without the reason: it is in `error`. */
static inline const void *pk_channel_receive(struct pk_channel *ch, uint32_t *length)
{
	int result = PK_RING_EMPTY;

	return pk_channel_next(ch, length, -1, &result);
}

static inline int pk_channel_release(struct pk_channel *ch, uint32_t length)
{
	int result = pk_ring_release(&ch->ring, length);

	if (result < 0)
		return pk_channel_broken(ch, "release", result);
	if (result == 1)
		pk_channel_ring(ch);
	return 0;
}

/* Sends one message; waits while the ring is full. */
static inline int pk_channel_send(struct pk_channel *ch, const void *bytes, uint32_t length, uint32_t tag)
{
	struct pk_ring *ring = &ch->ring;

	for (;;) {
		int result = PK_RING_FULL;

		for (uint32_t i = 0; i <= ch->spins + ch->yields && result == PK_RING_FULL; i++) {
			result = pk_ring_send(ring, bytes, length, tag);
			if (result == PK_RING_FULL)
				pk_channel_pause(ch, i);
		}
		if (result == PK_RING_FULL) {
			pk_ring_count(&ring->mine->stalls, 1);
			pk_ring_arm(ring, pk_ring_wake_at(ring, length));
			result = pk_ring_send(ring, bytes, length, tag);
			if (result == PK_RING_FULL)
				pk_channel_park(ch, -1);
			pk_ring_disarm(ring);
		}
		if (result == 1)
			pk_channel_ring(ch);
		if (result >= 0)
			return 0;
		if (result != PK_RING_FULL)
			return pk_channel_broken(ch, "send", result);
	}
}

/* PK_RING_CLOSED ends the stream; PK_RING_DETACHED leaves it to a successor. */
static inline void pk_channel_leave(struct pk_channel *ch, enum pk_ring_state state)
{
	if (pk_ring_leave(&ch->ring, state))
		pk_channel_ring(ch);
	pk_channel_tell(ch);
	if (ch->bell >= 0)
		close(ch->bell);
	if (ch->fd >= 0)
		close(ch->fd);
	munmap(ch->memory, ch->bytes);
	ch->bell = ch->fd = -1;
}

#endif

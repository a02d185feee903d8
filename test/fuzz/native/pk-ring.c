/*
 * A ring whose other side writes anything, through pk-ring.h and pk-channel.h. The first byte of an input chooses: a whole
 * memory, a program of PLACE(2) VALUE(4) ACTION(1), or the description of a channel.
 */
#include "harness.h"

/* A description names memory that is opened for writing: it gets the ring, or a page to sleep on. */
static int fuzz_open(const char *path, int flags, ...);
static int described = -1;
#define open fuzz_open
#include "../../../native/ring/pk-channel.h"
#undef open

enum { DATA = 4096, BYTES = PK_RING_HEADER_BYTES + DATA, MEANING = 0x480 };

static unsigned char *memory;

static int fuzz_open(const char *path, int flags, ...)
{
	if ((flags & O_ACCMODE) == O_RDWR)
		return *path == '/' ? dup(described) : -1;
	lseek(described, BYTES, SEEK_SET);
	return dup(described);
}

/* Takes messages until there is none; reads each byte, so that one outside of the memory is seen. */
static void drain(struct pk_channel *ch, unsigned most)
{
	unsigned count = 0;
	uint32_t length, sum = 0;
	const unsigned char *bytes;
	int result = PK_RING_EMPTY;

	while (count < most && (bytes = pk_channel_next(ch, &length, 0, &result)) != NULL) {
		must(length <= ch->ring.largest, "a message is at most the longest");
		for (uint32_t i = 0; i < length; i++)
			sum += bytes[i];
		must(++count <= DATA / 8 || most <= DATA / 8, "a ring holds no more messages than have room in it");
		if (pk_channel_release(ch, length) != 0)
			break;
	}
	__asm__ volatile("" : : "r"(sum));
}

static struct pk_channel channel(void)
{
	return (struct pk_channel){ .memory = memory, .bytes = BYTES, .fd = -1, .bell = -1 };
}

static void whole(const uint8_t *data, size_t size)
{
	struct pk_channel in = channel(), out = channel();
	size_t head = size < MEANING ? size : MEANING, rest = size - head < DATA ? size - head : DATA;
	char message[40] = "";

	memcpy(memory, data, head);
	memcpy(memory + PK_RING_HEADER_BYTES, data + head, rest);
	if (pk_channel_attach(&out, PK_CHANNEL_SEND, "fuzz") == 0)
		pk_ring_send(&out.ring, message, sizeof message, 1);
	if (pk_channel_attach(&in, PK_CHANNEL_RECV, "fuzz") == 0)
		drain(&in, DATA);
}

static void program(const uint8_t *data, size_t size)
{
	struct pk_channel in = channel(), out = channel();
	char message[640] = "";

	pk_channel_attach(&out, PK_CHANNEL_SEND, "fuzz");
	pk_channel_attach(&in, PK_CHANNEL_RECV, "fuzz");
	for (size_t at = 0; at + 7 <= size; at += 7) {
		uint32_t place = (data[at] | (uint32_t)data[at + 1] << 8) % ((MEANING + DATA) / 4) * 4;
		uint8_t action = data[at + 6];

		if (action & 1)
			memcpy(memory + (place < MEANING ? place : place - MEANING + PK_RING_HEADER_BYTES), data + at + 2, 4);
		if (action & 2)
			pk_ring_send(&out.ring, message, (action >> 3) * 20u, action);
		if (action & 4)
			drain(&in, 1);
	}
	pk_ring_leave(&out.ring, PK_RING_CLOSED);
	pk_ring_leave(&in.ring, PK_RING_DETACHED);
}

static void description(const uint8_t *data, size_t size)
{
	struct pk_channel ch;
	char sides[256] = "";

	if (pwrite(described, data, size, BYTES) < 0 || ftruncate(described, (off_t)(BYTES + size)) != 0)
		return;
	pk_channel_find(&ch, "fuzz", sides);
	must(strnlen(sides, sizeof sides) < sizeof sides, "sides end");
	must(memchr(ch.error, 0, sizeof ch.error) != NULL, "an error ends");
	if (ch.memory != NULL)
		munmap(ch.memory, ch.bytes);
	if (ch.sleep != NULL)
		munmap((void *)((uintptr_t)ch.sleep & ~4095ul), 4096);
	if (ch.fd >= 0)
		close(ch.fd);
	if (ch.bell >= 0)
		close(ch.bell);
}

static void one(const uint8_t *data, size_t size)
{
	if (memory == NULL && (posix_memalign((void **)&memory, 4096, BYTES) != 0 || (described = memfd_create("fuzz", 0)) < 0))
		abort();
	memset(memory, 0, BYTES);
	pk_ring_format(memory, BYTES, "fuzz");
	if (size == 0)
		return;
	switch (*data % 3) {
	case 0: whole(data + 1, size - 1); break;
	case 1: program(data + 1, size - 1); break;
	default: description(data + 1, size - 1);
	}
}

/* Ends of rings for pk-ring and pk-ring-bench: what goes wrong ends the program. */
#include "ends.h"

#include "../common/fail.h"

_Noreturn void give_up(const struct pk_channel *ch)
{
	fail_status = 3;
	refuse("%s", ch->error);
}

struct pk_channel map_path(const char *path, int flags, uint64_t bytes)
{
	struct pk_channel ch = { .fd = -1, .bell = -1, .spins = PK_CHANNEL_SPINS };
	struct stat stat;

	ch.fd = open(path, flags | O_RDWR | O_CLOEXEC, 0600);
	if (ch.fd < 0 || ((flags & O_CREAT) && ftruncate(ch.fd, (off_t)bytes) < 0) || fstat(ch.fd, &stat) < 0)
		fail("%s", path);
	ch.bytes = (uint64_t)stat.st_size;
	ch.memory = mmap(NULL, ch.bytes, PROT_READ | PROT_WRITE, MAP_SHARED, ch.fd, 0);
	if (ch.memory == MAP_FAILED)
		fail("%s", path);
	return ch;
}

struct pk_channel attach(const char *name, enum pk_channel_side side)
{
	struct pk_channel ch;
	int result;

	if (strchr(name, '/') != NULL) {
		ch = map_path(name, 0, 0);
		result = pk_channel_attach(&ch, side, name);
	} else {
		result = pk_channel_open(&ch, name, side);
	}
	if (result != 0)
		give_up(&ch);
	return ch;
}

const void *wait_message(struct pk_channel *ch, uint32_t *length)
{
	int result = PK_RING_EMPTY;
	const void *bytes = pk_channel_next(ch, length, -1, &result);

	if (bytes == NULL && result != PK_RING_ENDED)
		give_up(ch);
	return bytes;
}

void release(struct pk_channel *ch, uint32_t length)
{
	if (pk_channel_release(ch, length) != 0)
		give_up(ch);
}

void send_message(struct pk_channel *ch, const void *bytes, uint32_t length, uint32_t tag)
{
	if (pk_channel_send(ch, bytes, length, tag) != 0)
		give_up(ch);
}

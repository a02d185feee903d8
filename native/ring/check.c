/* Conformance of two ends, of whatever language, with each other. */
#include "check.h"

#include "../common/fail.h"
#include "ends.h"

/*
 * Conformance. A message holds its producer's epoch and its number in that epoch, then bytes that follow from both. The
 * ledger is memory that outlives the processes: each producer notes in it how many messages it has committed, the consumer
 * what it has taken, in two records of which `valid` names the good one.
 */
#define GENERATIONS 1024
struct record {
	uint32_t epoch, number, position, taken;
};
struct ledger {
	_Atomic uint32_t valid;
	uint32_t zero[3];
	struct record records[2];
	uint32_t reserved[52];
	_Atomic uint32_t committed[GENERATIONS];
};

/* A file, or the data area of a channel that nobody sends through: memory that both kernels see. */
static struct ledger *map_ledger(const char *name)
{
	int is_file = strchr(name, '/') != NULL;
	struct pk_channel ch;
	char sides[256];

	if (is_file)
		ch = map_path(name, 0, 0);
	else if (pk_channel_find(&ch, name, sides) != 0)
		give_up(&ch);
	if (ch.bytes < sizeof(struct ledger) + (is_file ? 0 : PK_RING_HEADER_BYTES))
		fail("the ledger is too short");
	return (struct ledger *)((char *)ch.memory + (is_file ? 0 : PK_RING_HEADER_BYTES));
}

int check_send(const char *path, uint32_t count, uint32_t longest, const char *ledger_path)
{
	struct pk_channel ch = attach(path, PK_CHANNEL_SEND);
	uint32_t epoch = ch.ring.epoch;
	_Atomic uint32_t *committed = &map_ledger(ledger_path)->committed[epoch % GENERATIONS];
	unsigned char *message = malloc(longest);

	if (longest < 8 || longest > ch.ring.largest)
		fail("no such length");
	atomic_store(committed, 0);
	for (uint32_t number = 0; number < count; number++) {
		uint32_t length = 8 + (number * 2654435761u >> 8) % (longest - 7), head[2] = { epoch, number };

		memcpy(message, head, 8);
		for (uint32_t i = 8; i < length; i++)
			message[i] = (unsigned char)(epoch * 7 + number * 31 + i);
		send_message(&ch, message, length, number);
		atomic_store_explicit(committed, number + 1, memory_order_release);
	}
	pk_channel_leave(&ch, PK_RING_CLOSED);
	return 0;
}

/* Is `epoch`.`number` what must come after `last`? A predecessor's committed messages must all have come before. */
static int follows(struct ledger *ledger, const struct record *last, uint32_t epoch, uint32_t number)
{
	if (epoch == last->epoch)
		return number == last->number + 1;
	if (epoch < last->epoch || number != 0)
		return 0;
	for (uint32_t old = last->epoch; old < epoch; old++) {
		uint32_t seen = old == last->epoch && last->taken > 0 ? last->number + 1 : 0;

		if (old > 0 && atomic_load(&ledger->committed[old % GENERATIONS]) > seen)
			return 0;
	}
	return 1;
}

int check_receive(const char *path, uint32_t count, const char *ledger_path)
{
	struct pk_channel ch = attach(path, PK_CHANNEL_RECV);
	struct pk_ring *ring = &ch.ring;
	struct ledger *ledger = map_ledger(ledger_path);
	struct record last = ledger->records[ledger->valid & 1];
	const unsigned char *bytes;
	uint32_t length;

	while (last.taken < count && (bytes = wait_message(&ch, &length)) != NULL) {
		uint32_t head[2];

		if (length < 8)
			fail("a message is too short");
		memcpy(head, bytes, 8);
		/* In the record already: a predecessor died between its note and the release. */
		if (last.taken > 0 && (int32_t)(last.position - (ring->position + ring->span)) >= 0) {
			release(&ch, length);
			continue;
		}
		if (!follows(ledger, &last, head[0], head[1]) || ring->tag != head[1]) {
			fprintf(stderr, "pk-ring: after %u.%u came %u.%u\n", last.epoch, last.number, head[0], head[1]);
			return 4;
		}
		for (uint32_t i = 8; i < length; i++)
			if (bytes[i] != (unsigned char)(head[0] * 7 + head[1] * 31 + i))
				fail("a message is torn");
		last = (struct record){ head[0], head[1], ring->position + ring->span, last.taken + 1 };
		ledger->records[(ledger->valid + 1) & 1] = last;
		atomic_store_explicit(&ledger->valid, ledger->valid + 1, memory_order_release);
		release(&ch, length);
	}
	printf("%u\n", last.taken);
	pk_channel_leave(&ch, PK_RING_DETACHED);
	return 0;
}

/*
 * The Polykernel ring: one producer and one consumer in different processes or kernels exchange messages through memory
 * both can see. docs/ring.md describes the layout byte by byte and says why each access has the order it has.
 *
 * This header needs no C library but memcpy and no operating system: waiting is the caller's (see pk_ring_arm). Nothing in
 * it trusts what the other side writes; garbage makes the call return PK_RING_BROKEN and puts the ring into its error state.
 * One struct pk_ring belongs to one thread.
 */
#ifndef PK_RING_H
#define PK_RING_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the ring's layout is little-endian"
#endif

#define PK_RING_VERSION 1u
#define PK_RING_HEADER_BYTES 4096u
#define PK_RING_LEAST_DATA 4096u
#define PK_RING_MOST_DATA (1u << 30)
#define PK_RING_MAGIC_LOW 0x49524b50u  /* "PKRI" */
#define PK_RING_MAGIC_HIGH 0x0a31474eu /* "NG1\n" */

#define PK_RING_MESSAGE 0x80000000u
#define PK_RING_WRAP 0xc0000000u
#define PK_RING_LENGTH 0x3fffffffu

enum pk_ring_attention { PK_RING_AWAKE = 0, PK_RING_ASLEEP = 1, PK_RING_GONE = 2 };
enum pk_ring_state { PK_RING_DETACHED = 0, PK_RING_OPEN = 1, PK_RING_CLOSED = 2, PK_RING_ERROR = 3 };
enum pk_ring_fault {
	PK_RING_NO_FAULT = 0,
	PK_RING_BAD_COMMIT = 1,   /* a commit word that no producer writes */
	PK_RING_BAD_POSITION = 2, /* a position outside of what is possible */
	PK_RING_BAD_STATE = 3,    /* an attention or state word with an unknown value */
	PK_RING_USURPED = 4,      /* another process attached as the same side */
	PK_RING_REMOVED = 5       /* its owner has removed it */
};

static inline const char *pk_ring_fault_text(uint32_t fault)
{
	static const char *const texts[] = {
		[PK_RING_BAD_COMMIT] = "a commit word that no producer writes",
		[PK_RING_BAD_POSITION] = "a position outside of what is possible",
		[PK_RING_BAD_STATE] = "an unknown state",
		[PK_RING_USURPED] = "another process attached as the same side",
		[PK_RING_REMOVED] = "removed by its owner",
	};

	return fault >= PK_RING_BAD_COMMIT && fault <= PK_RING_REMOVED ? texts[fault] : "the ring is in error";
}

/* What calls return besides lengths: all below zero but 0 and 1. */
#define PK_RING_EMPTY (-1)     /* nothing to receive now */
#define PK_RING_FULL (-2)      /* no room now */
#define PK_RING_ENDED (-3)     /* the other side closed: nothing more will come, or nobody will take it */
#define PK_RING_TOO_LONG (-4)  /* longer than the largest message */
#define PK_RING_BROKEN (-5)    /* the ring is in its error state */
#define PK_RING_NOT_A_RING (-6)

/* One side: its position, attention, control and statistics, each alone on a 128-byte line. */
struct pk_ring_side {
	_Alignas(128) _Atomic uint32_t position;
	_Alignas(128) _Atomic uint32_t attention;
	_Atomic uint32_t wake_at;
	_Alignas(128) _Atomic uint32_t epoch;
	_Atomic uint32_t state;
	_Atomic uint32_t fault;
	_Atomic uint32_t pid;
	_Alignas(128) _Atomic uint64_t messages;
	_Atomic uint64_t bytes;
	_Atomic uint64_t stalls;
	_Atomic uint64_t drops;
	_Atomic uint64_t bells;
};

struct pk_ring_header {
	_Atomic uint32_t magic_low;
	uint32_t magic_high;
	uint32_t version;
	uint32_t data_offset;
	uint32_t data_bytes;
	uint32_t total_bytes;
	uint32_t largest_message;
	uint32_t zero;
	char creator[32];
	struct pk_ring_side producer;
	struct pk_ring_side consumer;
};
_Static_assert(offsetof(struct pk_ring_header, producer) == 0x80, "producer");
_Static_assert(offsetof(struct pk_ring_header, consumer) == 0x280, "consumer");
_Static_assert(sizeof(struct pk_ring_header) == 0x480, "header");

/* One end. Everything here is private to the process: a peer cannot reach it. */
struct pk_ring {
	struct pk_ring_side *mine, *theirs;
	unsigned char *data;
	uint32_t size, mask, largest;
	uint32_t position;  /* mine: next byte to write or to read */
	uint32_t seen;      /* producer: how far the consumer was when last looked */
	uint32_t epoch;
	uint32_t start;     /* reserved or peeked: offset of the message's header */
	uint32_t span;      /* and how far the position moves with it (producer: at most) */
	uint32_t tag;       /* consumer: tag of the peeked message */
	uint32_t fault;
	uint32_t chain;     /* producer: offset of the word that will publish, when a batch is open */
	uint32_t chain_word;
};

static inline _Atomic uint32_t *pk_ring_word(const struct pk_ring *ring, uint32_t offset)
{
	return (_Atomic uint32_t *)(ring->data + offset);
}

static inline void pk_ring_count(_Atomic uint64_t *counter, uint64_t by)
{
	/* Only the owner writes: no read-modify-write instruction is needed. */
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + by, memory_order_relaxed);
}

/* Returns 1 when the other side sleeps and its bell must be rung; of several calls at once one gets the 1. */
static inline int pk_ring_wake(struct pk_ring *ring)
{
	uint32_t asleep = PK_RING_ASLEEP;

	if (!atomic_compare_exchange_strong(&ring->theirs->attention, &asleep, PK_RING_AWAKE))
		return 0;
	pk_ring_count(&ring->mine->bells, 1);
	return 1;
}

/* Ends the ring for both sides. The other may sleep: see pk_ring_wake. */
static inline int pk_ring_fail(struct pk_ring *ring, uint32_t fault)
{
	if (ring->fault == PK_RING_NO_FAULT) {
		ring->fault = fault;
		/* Somebody else owns this side's words now: leave them alone. */
		if (fault != PK_RING_USURPED) {
			atomic_store_explicit(&ring->mine->fault, fault, memory_order_relaxed);
			atomic_store_explicit(&ring->mine->state, PK_RING_ERROR, memory_order_relaxed);
			atomic_store_explicit(&ring->mine->attention, PK_RING_GONE, memory_order_seq_cst);
		}
	}
	return PK_RING_BROKEN;
}

/* Makes an empty ring of mapped memory. `total` is 4096 plus a power of two. */
static inline int pk_ring_format(void *memory, uint32_t total, const char *creator)
{
	struct pk_ring_header *header = memory;
	uint32_t data = total - PK_RING_HEADER_BYTES;

	if (data < PK_RING_LEAST_DATA || data > PK_RING_MOST_DATA || (data & (data - 1)))
		return PK_RING_NOT_A_RING;
	atomic_store_explicit(&header->magic_low, 0, memory_order_seq_cst);
	memset((char *)memory + 4, 0, PK_RING_HEADER_BYTES - 4);
	atomic_store_explicit((_Atomic uint64_t *)((char *)memory + PK_RING_HEADER_BYTES), 0, memory_order_relaxed);
	header->magic_high = PK_RING_MAGIC_HIGH;
	header->version = PK_RING_VERSION;
	header->data_offset = PK_RING_HEADER_BYTES;
	header->data_bytes = data;
	header->total_bytes = total;
	header->largest_message = data / 2 - 8;
	for (unsigned i = 0; i < sizeof header->creator - 1 && creator[i]; i++)
		header->creator[i] = creator[i];
	/* Last: who sees the magic sees all of it. */
	atomic_store_explicit(&header->magic_low, PK_RING_MAGIC_LOW, memory_order_release);
	return 0;
}

/* Checks a commit word at `offset`; returns the message's span in bytes, or 0 for one that no producer writes. */
static inline uint32_t pk_ring_span(const struct pk_ring *ring, uint32_t offset, uint32_t word)
{
	uint32_t length = word & PK_RING_LENGTH;
	uint32_t span = (length + 15) & ~7u;

	if ((word & ~PK_RING_LENGTH) != PK_RING_MESSAGE || length > ring->largest || span > ring->size - offset)
		return 0;
	return span;
}

static inline int pk_ring_attach(struct pk_ring *ring, void *memory, uint64_t mapped, int producer, uint32_t pid)
{
	struct pk_ring_header *header = memory;
	uint32_t size;

	memset(ring, 0, sizeof *ring);
	if (mapped < PK_RING_HEADER_BYTES + PK_RING_LEAST_DATA ||
	    atomic_load_explicit(&header->magic_low, memory_order_acquire) != PK_RING_MAGIC_LOW ||
	    header->magic_high != PK_RING_MAGIC_HIGH || header->version != PK_RING_VERSION ||
	    header->data_offset != PK_RING_HEADER_BYTES)
		return PK_RING_NOT_A_RING;
	/* Read once: the other side may change it between the check and the use. */
	size = *(volatile uint32_t *)&header->data_bytes;
	if (size < PK_RING_LEAST_DATA || size > PK_RING_MOST_DATA || (size & (size - 1)) ||
	    (uint64_t)size + PK_RING_HEADER_BYTES > mapped)
		return PK_RING_NOT_A_RING;
	ring->mine = producer ? &header->producer : &header->consumer;
	ring->theirs = producer ? &header->consumer : &header->producer;
	ring->data = (unsigned char *)memory + PK_RING_HEADER_BYTES;
	ring->size = size;
	ring->mask = size - 1;
	ring->largest = size / 2 - 8;
	if (atomic_load_explicit(&header->producer.state, memory_order_relaxed) == PK_RING_ERROR ||
	    atomic_load_explicit(&header->consumer.state, memory_order_relaxed) == PK_RING_ERROR)
		return PK_RING_BROKEN;
	ring->epoch = atomic_fetch_add_explicit(&ring->mine->epoch, 1, memory_order_seq_cst) + 1;
	atomic_store_explicit(&ring->mine->pid, pid, memory_order_relaxed);
	atomic_store_explicit(&ring->mine->state, PK_RING_OPEN, memory_order_relaxed);
	atomic_store_explicit(&ring->mine->attention, PK_RING_AWAKE, memory_order_seq_cst);
	ring->position = ring->seen = atomic_load_explicit(&header->consumer.position, memory_order_acquire);
	if (ring->position & 7)
		return pk_ring_fail(ring, PK_RING_BAD_POSITION);
	return 0;
}

/* After either of these: pk_ring_wake, and ring whatever it says. A predecessor may have died after it took the flag. */
static inline int pk_ring_attach_consumer(struct pk_ring *ring, void *memory, uint64_t mapped, uint32_t pid)
{
	return pk_ring_attach(ring, memory, mapped, 0, pid);
}

/* Goes on after the last committed message: walks from the consumer's position to the first word that is not committed. */
static inline int pk_ring_attach_producer(struct pk_ring *ring, void *memory, uint64_t mapped, uint32_t pid)
{
	int result = pk_ring_attach(ring, memory, mapped, 1, pid);

	if (result != 0)
		return result;
	for (;;) {
		uint32_t offset = ring->position & ring->mask;
		uint32_t word = atomic_load_explicit(pk_ring_word(ring, offset), memory_order_acquire);
		uint32_t span;

		if (word == 0)
			break;
		span = word == PK_RING_WRAP && offset >= ring->size / 2 ? ring->size - offset : pk_ring_span(ring, offset, word);
		if (span == 0 || ring->position + span - ring->seen > ring->size)
			return pk_ring_fail(ring, PK_RING_BAD_COMMIT);
		ring->position += span;
	}
	atomic_store_explicit(&ring->mine->position, ring->position, memory_order_relaxed);
	return 0;
}

/* Is this side still the one that attached last? The line is nobody else's: cheap enough for each message. */
static inline int pk_ring_check_epoch(struct pk_ring *ring)
{
	if (ring->fault != PK_RING_NO_FAULT)
		return PK_RING_BROKEN;
	if (atomic_load_explicit(&ring->mine->epoch, memory_order_relaxed) != ring->epoch)
		return pk_ring_fail(ring, PK_RING_USURPED);
	return 0;
}

/* What the other side's control line says: 0, PK_RING_ENDED or PK_RING_BROKEN. */
static inline int pk_ring_check_peer(struct pk_ring *ring)
{
	uint32_t state = atomic_load_explicit(&ring->theirs->state, memory_order_acquire);
	int result = pk_ring_check_epoch(ring);

	if (result != 0)
		return result;
	if (state == PK_RING_ERROR) {
		ring->fault = atomic_load_explicit(&ring->theirs->fault, memory_order_relaxed) | 0x80000000u;
		return PK_RING_BROKEN;
	}
	if (state > PK_RING_ERROR)
		return pk_ring_fail(ring, PK_RING_BAD_STATE);
	return state == PK_RING_CLOSED ? PK_RING_ENDED : 0;
}

/* Producer: is there room for `need` bytes and the zero word that follows them? 1, 0 or PK_RING_BROKEN. */
static inline int pk_ring_room(struct pk_ring *ring, uint32_t need)
{
	uint32_t released;

	if (ring->position + need + 8 - ring->seen <= ring->size)
		return 1;
	released = atomic_load_explicit(&ring->theirs->position, memory_order_acquire);
	/* The consumer may only move forwards, by whole words, and not past the producer. */
	if ((released & 7) || released - ring->seen > ring->position - ring->seen)
		return pk_ring_fail(ring, PK_RING_BAD_POSITION);
	ring->seen = released;
	return ring->position + need + 8 - released <= ring->size;
}

/* Bytes of the ring that a message of `length` takes at the present position, skipped end included. */
static inline uint32_t pk_ring_need(const struct pk_ring *ring, uint32_t length)
{
	uint32_t span = (length + 15) & ~7u, end = ring->size - (ring->position & ring->mask);

	return span <= end ? span : end + span;
}

/* Where to write a message of `length` bytes, 8-byte aligned; or NULL with *result set (FULL, ENDED, TOO_LONG, BROKEN). */
static inline void *pk_ring_reserve(struct pk_ring *ring, uint32_t length, int *result)
{
	uint32_t need, offset = ring->position & ring->mask;
	int room;

	if (length > ring->largest) {
		*result = PK_RING_TOO_LONG;
		return NULL;
	}
	need = pk_ring_need(ring, length);
	room = ring->fault ? PK_RING_BROKEN : pk_ring_room(ring, need);
	if (room <= 0) {
		*result = room < 0 ? room : pk_ring_check_peer(ring);
		if (*result == 0)
			*result = PK_RING_FULL;
		return NULL;
	}
	ring->start = need > ring->size - offset ? 0 : offset;
	ring->span = need;
	return ring->data + ring->start + 8;
}

/*
 * Adds the reserved message to the open batch, or begins one. All words but the batch's first are stored here: the
 * consumer cannot get to them before the first, which pk_ring_publish stores.
 */
static inline void pk_ring_append(struct pk_ring *ring, uint32_t length, uint32_t tag)
{
	uint32_t first = ring->position & ring->mask;
	uint32_t word = PK_RING_MESSAGE | length;
	uint32_t span = (length + 15) & ~7u; /* not what was reserved: the message may have become shorter */

	atomic_store_explicit(pk_ring_word(ring, ring->start + 4), tag, memory_order_relaxed);
	if (first != ring->start) { /* the end was too short: a wrap marker leads to the message */
		atomic_store_explicit(pk_ring_word(ring, ring->start), word, memory_order_relaxed);
		word = PK_RING_WRAP;
		span += ring->size - first;
	}
	if (ring->chain_word == 0) {
		ring->chain = first;
		ring->chain_word = word;
	} else {
		atomic_store_explicit(pk_ring_word(ring, first), word, memory_order_relaxed);
	}
	ring->position += span;
	pk_ring_count(&ring->mine->messages, 1);
	pk_ring_count(&ring->mine->bytes, length);
}

/* Makes the batch visible. Returns 1 when the consumer sleeps and a bell must be rung for it, or PK_RING_BROKEN. */
static inline int pk_ring_publish(struct pk_ring *ring)
{
	if (ring->chain_word == 0)
		return 0;
	if (pk_ring_check_epoch(ring) != 0)
		return PK_RING_BROKEN;
	atomic_store_explicit(pk_ring_word(ring, ring->position & ring->mask), 0, memory_order_relaxed);
	/* Release for the message, and ordered before the look at the sleeper's flag: only seq_cst gives both. */
	atomic_store_explicit(pk_ring_word(ring, ring->chain), ring->chain_word, memory_order_seq_cst);
	ring->chain_word = 0;
	atomic_store_explicit(&ring->mine->position, ring->position, memory_order_relaxed);
	if (atomic_load_explicit(&ring->theirs->attention, memory_order_seq_cst) != PK_RING_ASLEEP)
		return 0;
	return pk_ring_wake(ring);
}

/* Copies in the units that small messages are made of; large ones go to memcpy. */
static inline void pk_ring_copy(void *to, const void *from, uint32_t length)
{
	if (length > 256) {
		memcpy(to, from, length);
		return;
	}
	for (; length >= 8; length -= 8, to = (char *)to + 8, from = (const char *)from + 8)
		memcpy(to, from, 8);
	for (; length > 0; length--, to = (char *)to + 1, from = (const char *)from + 1)
		memcpy(to, from, 1);
}

/* Sends one message. Returns 1 or 0 as pk_ring_publish does, or a negative result. */
static inline int pk_ring_send(struct pk_ring *ring, const void *bytes, uint32_t length, uint32_t tag)
{
	int result = 0;
	void *room = pk_ring_reserve(ring, length, &result);

	if (room == NULL)
		return result;
	/* The consumer may have closed: the attention word says so without another line to look at. */
	if (atomic_load_explicit(&ring->theirs->attention, memory_order_relaxed) > PK_RING_ASLEEP) {
		result = pk_ring_check_peer(ring);
		if (result != 0)
			return result;
	}
	pk_ring_copy(room, bytes, length);
	pk_ring_append(ring, length, tag);
	return pk_ring_publish(ring);
}

/*
 * The next message, which stays the producer's memory until pk_ring_release; a hostile producer may change it meanwhile, so
 * copy before checking. NULL with *result EMPTY, ENDED or BROKEN.
 */
static inline const void *pk_ring_peek(struct pk_ring *ring, uint32_t *length, int *result)
{
	uint32_t offset = ring->position & ring->mask, skipped = 0, span;
	uint32_t word = atomic_load_explicit(pk_ring_word(ring, offset), memory_order_acquire);

	if (word == 0 || ring->fault) {
		*result = ring->fault ? PK_RING_BROKEN : PK_RING_EMPTY;
		return NULL;
	}
	if (word == PK_RING_WRAP && offset >= ring->size / 2) {
		skipped = ring->size - offset;
		offset = 0;
		/* The marker is stored after the message it leads to, so an empty word here is a broken rule too. */
		word = atomic_load_explicit(pk_ring_word(ring, 0), memory_order_acquire);
	}
	span = pk_ring_span(ring, offset, word);
	if (span == 0) {
		*result = pk_ring_fail(ring, PK_RING_BAD_COMMIT);
		return NULL;
	}
	ring->start = offset;
	ring->span = skipped + span;
	ring->tag = atomic_load_explicit(pk_ring_word(ring, offset + 4), memory_order_relaxed);
	*length = word & PK_RING_LENGTH;
	return ring->data + offset + 8;
}

/* Why there is nothing: PK_RING_EMPTY, or what has become of the producer. Ask after an empty peek, before waiting. */
static inline int pk_ring_why_empty(struct pk_ring *ring)
{
	int peer = pk_ring_check_peer(ring);

	/* Looked at after the state: what was sent before the close must still be taken. */
	if (peer == PK_RING_ENDED && atomic_load_explicit(pk_ring_word(ring, ring->position & ring->mask), memory_order_acquire))
		return PK_RING_EMPTY;
	return peer == 0 ? PK_RING_EMPTY : peer;
}

/* Gives the peeked message's memory back. Returns 1 when the producer sleeps and has room enough: ring for it; or BROKEN. */
static inline int pk_ring_release(struct pk_ring *ring, uint32_t length)
{
	if (pk_ring_check_epoch(ring) != 0)
		return PK_RING_BROKEN;
	ring->position += ring->span;
	pk_ring_count(&ring->mine->messages, 1);
	pk_ring_count(&ring->mine->bytes, length);
	atomic_store_explicit(&ring->mine->position, ring->position, memory_order_seq_cst);
	if (atomic_load_explicit(&ring->theirs->attention, memory_order_seq_cst) != PK_RING_ASLEEP)
		return 0;
	if ((int32_t)(ring->position - atomic_load_explicit(&ring->theirs->wake_at, memory_order_relaxed)) < 0)
		return 0;
	return pk_ring_wake(ring);
}

/*
 * Before sleeping: sets the flag, after which the condition must be looked at once more. Then sleep until
 * mine->attention is no longer PK_RING_ASLEEP, and call pk_ring_disarm.
 */
static inline void pk_ring_arm(struct pk_ring *ring, uint32_t wake_at)
{
	atomic_store_explicit(&ring->mine->wake_at, wake_at, memory_order_relaxed);
	atomic_store_explicit(&ring->mine->attention, PK_RING_ASLEEP, memory_order_seq_cst);
}

static inline void pk_ring_disarm(struct pk_ring *ring)
{
	uint32_t asleep = PK_RING_ASLEEP;

	/* Not a plain store: whoever usurped this side may have written GONE. */
	atomic_compare_exchange_strong(&ring->mine->attention, &asleep, PK_RING_AWAKE);
}

/* Producer: the released position at which to be woken for `length` bytes: half the ring free, so that bells are few. */
static inline uint32_t pk_ring_wake_at(const struct pk_ring *ring, uint32_t length)
{
	uint32_t need = pk_ring_need(ring, length) + 8, half = ring->size / 2;

	return ring->position + (need > half ? need : half) - ring->size;
}

/* Ends this side: CLOSED for good (the other side gets ENDED), or DETACHED for a successor. Ring for a sleeping peer after. */
static inline int pk_ring_leave(struct pk_ring *ring, enum pk_ring_state state)
{
	if (pk_ring_check_epoch(ring) != 0)
		return 0;
	ring->fault = PK_RING_USURPED; /* nothing more may be done with it */
	atomic_store_explicit(&ring->mine->state, state, memory_order_release);
	atomic_store_explicit(&ring->mine->attention, PK_RING_GONE, memory_order_seq_cst);
	return pk_ring_wake(ring);
}

#endif

/* The ring between two processes on CPUs 0 and 1 with memory of their own, by the parent's clock; and what it is held against. */
#include "ring.h"

#include <sched.h>

#include "../common/fail.h"
#include "../ring/laps.h"

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof set, &set); /* on one CPU the figure is poor, not wrong */
}

static void *fresh(uint32_t data)
{
	void *memory = mmap(NULL, data + PK_RING_HEADER_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		fail("mmap");
	memset(memory, 1, data + PK_RING_HEADER_BYTES); /* page faults now, not while measuring */
	pk_ring_format(memory, data + PK_RING_HEADER_BYTES, "bench");
	return memory;
}

static struct pk_channel end_of(void *memory, uint32_t data, enum pk_channel_side side)
{
	struct pk_channel ch = { .memory = memory, .bytes = data + PK_RING_HEADER_BYTES, .fd = -1, .bell = -1,
				 .spins = PK_CHANNEL_SPINS };

	if (pk_channel_attach(&ch, side, "bench") != 0)
		give_up(&ch);
	return ch;
}

double round_trip(uint32_t count)
{
	const uint32_t size = 65536;
	void *there = fresh(size), *back = fresh(size);
	_Alignas(64) char scratch[64] = { 0 };
	pid_t child = fork();
	struct pk_channel out, in;
	struct laps fastest = { 0 };

	pin(child == 0);
	out = end_of(child ? there : back, size, PK_CHANNEL_SEND);
	in = end_of(child ? back : there, size, PK_CHANNEL_RECV);
	if (child == 0) {
		for (uint32_t i = 0; i < count + 1000; i++) {
			expect(&in, i, 64, scratch);
			put(&out, i, 64, scratch);
		}
		_exit(0);
	}
	for (uint32_t i = 0; i < 1000; i++) {
		put(&out, i, 64, scratch);
		expect(&in, i, 64, scratch);
	}
	for (uint32_t i = 1000; i < count + 1000; i++) {
		lap(&fastest, i - 1000);
		put(&out, i, 64, scratch);
		expect(&in, i, 64, scratch);
	}
	return fastest.nanoseconds;
}

double stream(uint32_t count, uint32_t bytes)
{
	const uint32_t size = 1 << 20;
	void *memory = fresh(size);
	static char scratch[4096];
	pid_t child = fork();
	struct pk_channel ring;
	struct laps fastest = { 0 };

	pin(child == 0);
	ring = end_of(memory, size, child == 0 ? PK_CHANNEL_SEND : PK_CHANNEL_RECV);
	if (child == 0) {
		for (uint32_t i = 0; i < count + 1; i++)
			put(&ring, i, bytes, scratch);
		_exit(0);
	}
	expect(&ring, 0, bytes, scratch);
	for (uint32_t i = 1; i <= count; i++) {
		lap(&fastest, i - 1);
		expect(&ring, i, bytes, scratch);
	}
	return fastest.nanoseconds;
}

/* The same 4 KiB copied in on one CPU and out on the other, with a counter each and nothing else. */
double bare_copy(uint32_t count)
{
	const uint32_t size = 1 << 20, block = 4096;
	struct pk_ring_header *header = fresh(size);
	char *data = (char *)header + PK_RING_HEADER_BYTES;
	static char scratch[4096];
	_Atomic uint32_t *written = &header->producer.position, *taken = &header->consumer.position;
	pid_t child = fork();
	struct laps fastest = { 0 };

	pin(child == 0);
	for (uint32_t i = 0; i < count; i++) {
		char *at = data + (i * block) % size;

		if (child == 0) {
			while (i - atomic_load_explicit(taken, memory_order_acquire) >= size / block)
				pk_channel_relax();
			memcpy(at, scratch, block);
			atomic_store_explicit(written, i + 1, memory_order_release);
		} else {
			lap(&fastest, i);
			while (atomic_load_explicit(written, memory_order_acquire) == i)
				pk_channel_relax();
			memcpy(scratch, at, block);
			atomic_store_explicit(taken, i + 1, memory_order_release);
		}
	}
	if (child == 0)
		_exit(0);
	return fastest.nanoseconds;
}

/* From just before the wake call on one CPU until the sleeper on the other runs; the median. */
double wake(uint32_t count)
{
	struct pk_ring_header *header = fresh(PK_RING_LEAST_DATA);
	_Atomic uint32_t *word = &header->consumer.attention, *ready = &header->consumer.position;
	double *slot = (double *)((char *)header + PK_RING_HEADER_BYTES), *seen = calloc(count, sizeof *seen);
	pid_t child = fork();

	pin(child == 0);
	for (uint32_t i = 0; i < count; i++) {
		if (child == 0) {
			struct timespec pause = { 0, 300000 }; /* the sleeper must be asleep for what is measured */

			while (atomic_load(ready) != i + 1)
				pk_channel_relax();
			nanosleep(&pause, NULL);
			*slot = now();
			atomic_store(word, 0);
			pk_channel_futex(word, 1, 1, NULL);
		} else {
			atomic_store(word, 1);
			atomic_store(ready, i + 1);
			while (atomic_load(word) == 1)
				pk_channel_futex(word, 0, 1, NULL);
			seen[i] = now() - *slot;
		}
	}
	if (child == 0)
		_exit(0);
	qsort(seen, count, sizeof *seen, by_value);
	return seen[count / 2];
}

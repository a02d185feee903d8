/*
 * pk-ring: the ring of docs/ring.md for shells, for conformance tests of other languages, and as the measure that they are
 * held against.
 *
 *   pk-ring create PATH BYTES        make a ring with BYTES of data
 *   pk-ring send PATH                each line of standard input becomes a message; its end closes the ring
 *   pk-ring recv PATH                messages to standard output, a line each, until the producer closes
 *   pk-ring check-send PATH COUNT LONGEST LEDGER    numbered messages with known content, then close
 *   pk-ring check-recv PATH COUNT LEDGER            takes them and verifies every byte
 *   pk-ring bench FIGURE COUNT       rtt, stream, bulk, memcpy, wake: prints nanoseconds of one on CPUs 0 and 1
 */
#define _GNU_SOURCE
#include "pk-ring.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SPINS 4000
#define FUTEX_WAIT_CALL 0
#define FUTEX_WAKE_CALL 1

static void relax(void)
{
#if defined __x86_64__
	__builtin_ia32_pause();
#elif defined __aarch64__
	__asm__ volatile("yield");
#endif
}

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "pk-ring: %s%s%s\n", what, errno ? ": " : "", errno ? strerror(errno) : "");
	exit(1);
}

static void futex_wait(_Atomic uint32_t *word, uint32_t value)
{
	syscall(SYS_futex, word, FUTEX_WAIT_CALL, value, NULL, NULL, 0);
}

static void futex_wake(_Atomic uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE_CALL, 1, NULL, NULL, 0);
}

static _Noreturn void die_result(struct pk_ring *ring, const char *what, int result)
{
	if (result == PK_RING_BROKEN && pk_ring_wake(ring))
		futex_wake(&ring->theirs->attention);
	fprintf(stderr, "pk-ring: %s: %s (fault %u)\n", what,
		result == PK_RING_ENDED ? "the other side has closed" :
		result == PK_RING_TOO_LONG ? "the message is too long" :
		result == PK_RING_NOT_A_RING ? "this is no ring" : "the ring is in error", ring->fault & 0x7fffffffu);
	exit(3);
}

static void *map_file(const char *path, int flags, uint64_t *bytes)
{
	struct stat stat;
	void *memory;
	int fd = open(path, flags | O_RDWR | O_CLOEXEC, 0600);

	if (fd < 0)
		die(path);
	if ((flags & O_CREAT) && ftruncate(fd, (off_t)*bytes) < 0)
		die(path);
	if (fstat(fd, &stat) < 0)
		die(path);
	*bytes = (uint64_t)stat.st_size;
	memory = mmap(NULL, *bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED)
		die(path);
	close(fd);
	return memory;
}

/* The next message; NULL at the end of the stream. Spins, then sleeps. */
static const void *wait_message(struct pk_ring *ring, uint32_t *length)
{
	for (;;) {
		const void *bytes;
		int result;

		for (int i = 0; i < SPINS; i++) {
			bytes = pk_ring_peek(ring, length, &result);
			if (bytes != NULL)
				return bytes;
			relax();
		}
		for (int armed = 0;; armed = 1) {
			bytes = pk_ring_peek(ring, length, &result);
			if (bytes == NULL && result == PK_RING_EMPTY)
				result = pk_ring_why_empty(ring);
			if (bytes != NULL || result != PK_RING_EMPTY || armed)
				break;
			pk_ring_count(&ring->mine->stalls, 1);
			pk_ring_arm(ring, 0);
		}
		if (bytes == NULL && result == PK_RING_EMPTY)
			futex_wait(&ring->mine->attention, PK_RING_ASLEEP);
		pk_ring_disarm(ring);
		if (bytes != NULL)
			return bytes;
		if (result == PK_RING_ENDED)
			return NULL;
		if (result != PK_RING_EMPTY)
			die_result(ring, "receive", result);
	}
}

static void release(struct pk_ring *ring, uint32_t length)
{
	int result = pk_ring_release(ring, length);

	if (result < 0)
		die_result(ring, "release", result);
	if (result == 1)
		futex_wake(&ring->theirs->attention);
}

/* Sends one message; waits while the ring is full. */
static void send_message(struct pk_ring *ring, const void *bytes, uint32_t length, uint32_t tag)
{
	for (;;) {
		int result = PK_RING_FULL;

		for (int i = 0; i < SPINS && result == PK_RING_FULL; i++) {
			result = pk_ring_send(ring, bytes, length, tag);
			if (result == PK_RING_FULL)
				relax();
		}
		if (result == PK_RING_FULL) {
			pk_ring_count(&ring->mine->stalls, 1);
			pk_ring_arm(ring, pk_ring_wake_at(ring, length));
			result = pk_ring_send(ring, bytes, length, tag);
			if (result == PK_RING_FULL)
				futex_wait(&ring->mine->attention, PK_RING_ASLEEP);
			pk_ring_disarm(ring);
		}
		if (result == 1)
			futex_wake(&ring->theirs->attention);
		if (result >= 0)
			return;
		if (result != PK_RING_FULL)
			die_result(ring, "send", result);
	}
}

static void leave(struct pk_ring *ring, enum pk_ring_state state)
{
	if (pk_ring_leave(ring, state))
		futex_wake(&ring->theirs->attention);
}

static struct pk_ring attach(const char *path, int producer)
{
	struct pk_ring ring;
	uint64_t bytes = 0;
	void *memory = map_file(path, 0, &bytes);
	int result = producer ? pk_ring_attach_producer(&ring, memory, bytes, (uint32_t)getpid())
			      : pk_ring_attach_consumer(&ring, memory, bytes, (uint32_t)getpid());

	if (result != 0)
		die_result(&ring, path, result);
	pk_ring_wake(&ring);
	futex_wake(&ring.theirs->attention);
	return ring;
}

static int create(const char *path, uint32_t data)
{
	uint64_t bytes = (uint64_t)data + PK_RING_HEADER_BYTES;
	void *memory = map_file(path, O_CREAT | O_EXCL, &bytes);

	errno = 0;
	if (pk_ring_format(memory, (uint32_t)bytes, "pk-ring") != 0) {
		unlink(path);
		die("the size must be a power of two from 4096 to 1073741824");
	}
	return 0;
}

static int send_lines(const char *path)
{
	struct pk_ring ring = attach(path, 1);
	char *line = NULL;
	size_t room = 0;
	ssize_t length;

	while ((length = getline(&line, &room, stdin)) >= 0) {
		if (length > 0 && line[length - 1] == '\n')
			length--;
		send_message(&ring, line, length > INT_MAX ? UINT_MAX : (uint32_t)length, 0);
	}
	leave(&ring, PK_RING_CLOSED);
	return 0;
}

static int receive_lines(const char *path)
{
	struct pk_ring ring = attach(path, 0);
	const void *bytes;
	uint32_t length;

	while ((bytes = wait_message(&ring, &length)) != NULL) {
		/* Flushed before the release: a message is either still in the ring or written. */
		if (fwrite(bytes, 1, length, stdout) != length || putchar('\n') < 0 || fflush(stdout) != 0)
			die("standard output");
		release(&ring, length);
	}
	leave(&ring, PK_RING_DETACHED);
	return 0;
}

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

static struct ledger *map_ledger(const char *path)
{
	uint64_t size = 0;
	struct ledger *ledger = map_file(path, 0, &size);

	if (size < sizeof *ledger)
		die("the ledger is too short");
	return ledger;
}

static int check_send(const char *path, uint32_t count, uint32_t longest, const char *ledger_path)
{
	struct pk_ring ring = attach(path, 1);
	_Atomic uint32_t *committed = &map_ledger(ledger_path)->committed[ring.epoch % GENERATIONS];
	unsigned char *message = malloc(longest);

	if (longest < 8 || longest > ring.largest)
		die("no such length");
	atomic_store(committed, 0);
	for (uint32_t number = 0; number < count; number++) {
		uint32_t length = 8 + (number * 2654435761u >> 8) % (longest - 7), head[2] = { ring.epoch, number };

		memcpy(message, head, 8);
		for (uint32_t i = 8; i < length; i++)
			message[i] = (unsigned char)(ring.epoch * 7 + number * 31 + i);
		send_message(&ring, message, length, number);
		atomic_store_explicit(committed, number + 1, memory_order_release);
	}
	leave(&ring, PK_RING_CLOSED);
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

static int check_receive(const char *path, uint32_t count, const char *ledger_path)
{
	struct pk_ring ring = attach(path, 0);
	struct ledger *ledger = map_ledger(ledger_path);
	struct record last = ledger->records[ledger->valid & 1];
	const unsigned char *bytes;
	uint32_t length;

	while (last.taken < count && (bytes = wait_message(&ring, &length)) != NULL) {
		uint32_t head[2];

		if (length < 8)
			die("a message is too short");
		memcpy(head, bytes, 8);
		/* In the record already: a predecessor died between its note and the release. */
		if (last.taken > 0 && (int32_t)(last.position - (ring.position + ring.span)) >= 0) {
			release(&ring, length);
			continue;
		}
		if (!follows(ledger, &last, head[0], head[1]) || ring.tag != head[1]) {
			fprintf(stderr, "pk-ring: after %u.%u came %u.%u\n", last.epoch, last.number, head[0], head[1]);
			return 4;
		}
		for (uint32_t i = 8; i < length; i++)
			if (bytes[i] != (unsigned char)(head[0] * 7 + head[1] * 31 + i))
				die("a message is torn");
		last = (struct record){ head[0], head[1], ring.position + ring.span, last.taken + 1 };
		ledger->records[(ledger->valid + 1) & 1] = last;
		atomic_store_explicit(&ledger->valid, ledger->valid + 1, memory_order_release);
		release(&ring, length);
	}
	printf("%u\n", last.taken);
	leave(&ring, PK_RING_DETACHED);
	return 0;
}

/* Figures: two processes on CPUs 0 and 1 with memory of their own; the parent's clock. */
static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

/*
 * What one step took in the fastest lap of LAP steps. Two spinning processes need both CPUs at once: whatever else runs
 * meanwhile stops one of them for whole time slices, which says nothing of the ring.
 */
#define LAP 2000
struct laps {
	double began, nanoseconds;
};

static void lap(struct laps *laps, uint32_t step)
{
	double at, each;

	if (step % LAP)
		return;
	at = now();
	each = (at - laps->began) / LAP;
	if (step > 0 && (laps->nanoseconds == 0 || each < laps->nanoseconds))
		laps->nanoseconds = each;
	laps->began = at;
}

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
		die("mmap");
	memset(memory, 1, data + PK_RING_HEADER_BYTES); /* page faults now, not while measuring */
	pk_ring_format(memory, data + PK_RING_HEADER_BYTES, "bench");
	return memory;
}

static struct pk_ring end_of(void *memory, uint32_t data, int producer)
{
	struct pk_ring ring;

	if ((producer ? pk_ring_attach_producer : pk_ring_attach_consumer)(&ring, memory, data + PK_RING_HEADER_BYTES, 0) != 0)
		die("attach");
	return ring;
}

static void expect(struct pk_ring *ring, uint32_t number, uint32_t bytes, void *copy)
{
	uint32_t length, head[2];
	const void *message = wait_message(ring, &length);

	if (message == NULL || length != bytes)
		die("a message is missing");
	pk_ring_copy(copy, message, length);
	release(ring, length);
	memcpy(head, copy, 4);
	memcpy(head + 1, (char *)copy + bytes - 4, 4);
	if (head[0] != number || head[1] != ~number)
		die("a message is wrong");
}

static void put(struct pk_ring *ring, uint32_t number, uint32_t bytes, void *scratch)
{
	uint32_t inverse = ~number;

	memcpy(scratch, &number, 4);
	memcpy((char *)scratch + bytes - 4, &inverse, 4);
	send_message(ring, scratch, bytes, 0);
}

static double round_trip(uint32_t count)
{
	const uint32_t size = 65536;
	void *there = fresh(size), *back = fresh(size);
	_Alignas(64) char scratch[64] = { 0 };
	pid_t child = fork();
	struct pk_ring out, in;
	struct laps fastest = { 0 };

	pin(child == 0);
	out = end_of(child ? there : back, size, 1);
	in = end_of(child ? back : there, size, 0);
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

static double stream(uint32_t count, uint32_t bytes)
{
	const uint32_t size = 1 << 20;
	void *memory = fresh(size);
	static char scratch[4096];
	pid_t child = fork();
	struct pk_ring ring;
	struct laps fastest = { 0 };

	pin(child == 0);
	ring = end_of(memory, size, child == 0);
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
static double bare_copy(uint32_t count)
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
				relax();
			memcpy(at, scratch, block);
			atomic_store_explicit(written, i + 1, memory_order_release);
		} else {
			lap(&fastest, i);
			while (atomic_load_explicit(written, memory_order_acquire) == i)
				relax();
			memcpy(scratch, at, block);
			atomic_store_explicit(taken, i + 1, memory_order_release);
		}
	}
	if (child == 0)
		_exit(0);
	return fastest.nanoseconds;
}

/* From just before the wake call on one CPU until the sleeper on the other runs; the median. */
static int by_value(const void *a, const void *b)
{
	double difference = *(const double *)a - *(const double *)b;

	return (difference > 0) - (difference < 0);
}

static double wake(uint32_t count)
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
				relax();
			nanosleep(&pause, NULL);
			*slot = now();
			atomic_store(word, 0);
			futex_wake(word);
		} else {
			atomic_store(word, 1);
			atomic_store(ready, i + 1);
			while (atomic_load(word) == 1)
				futex_wait(word, 1);
			seen[i] = now() - *slot;
		}
	}
	if (child == 0)
		_exit(0);
	qsort(seen, count, sizeof *seen, by_value);
	return seen[count / 2];
}

static int bench(const char *figure, uint32_t count)
{
	double result;
	int status;

	if (strcmp(figure, "rtt") == 0)
		result = round_trip(count);
	else if (strcmp(figure, "stream") == 0)
		result = stream(count, 64);
	else if (strcmp(figure, "bulk") == 0)
		result = stream(count, 4096);
	else if (strcmp(figure, "memcpy") == 0)
		result = bare_copy(count);
	else if (strcmp(figure, "wake") == 0)
		result = wake(count);
	else
		return 2;
	wait(&status);
	if (status != 0)
		die("the other end failed");
	printf("%.1f\n", result);
	return 0;
}

static uint32_t number(const char *text)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end != '\0' || value > UINT_MAX)
		die("a number is expected");
	return (uint32_t)value;
}

int main(int argc, char **argv)
{
	const char *command = argc > 1 ? argv[1] : "";

	errno = 0;
	if (argc == 4 && strcmp(command, "create") == 0)
		return create(argv[2], number(argv[3]));
	if (argc == 3 && strcmp(command, "send") == 0)
		return send_lines(argv[2]);
	if (argc == 3 && strcmp(command, "recv") == 0)
		return receive_lines(argv[2]);
	if (argc == 6 && strcmp(command, "check-send") == 0)
		return check_send(argv[2], number(argv[3]), number(argv[4]), argv[5]);
	if (argc == 5 && strcmp(command, "check-recv") == 0)
		return check_receive(argv[2], number(argv[3]), argv[4]);
	if (argc == 4 && strcmp(command, "bench") == 0)
		return bench(argv[2], number(argv[3]));
	fputs("usage: pk-ring create PATH BYTES | send PATH | recv PATH |\n"
	      "       check-send PATH COUNT LONGEST LEDGER | check-recv PATH COUNT LEDGER |\n"
	      "       bench rtt|stream|bulk|memcpy|wake COUNT\n", stderr);
	return 2;
}

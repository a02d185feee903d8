/*
 * pk-ring: the ring of docs/ring.md for shells, for conformance tests of other languages, and as the measure that they are
 * held against. A CHANNEL is the name of one (docs/channel.md), or the path of a file with a ring if it has a slash.
 *
 *   pk-ring send CHANNEL             each line of standard input becomes a message; its end closes the channel
 *   pk-ring recv CHANNEL             messages to standard output, a line each, until the producer closes
 *   pk-ring echo IN OUT [COUNT]      sends back what comes, until the producer closes or so many messages have come
 *   pk-ring ping OUT IN COUNT [WAIT] nanoseconds of a round trip of 64 bytes to an echo: of the fastest lap, or with WAIT
 *                                    (microseconds before each, in which the echo falls asleep) the median
 *   pk-ring fill CHANNEL COUNT BYTES, drain CHANNEL COUNT BYTES    one each: drain prints nanoseconds per message
 *   pk-ring check-send CHANNEL COUNT LONGEST LEDGER    numbered messages with known content, then close
 *   pk-ring check-recv CHANNEL COUNT LEDGER            takes them and verifies every byte
 *   pk-ring bench FIGURE COUNT       rtt, stream, bulk, memcpy, wake: prints nanoseconds of one on CPUs 0 and 1
 *   pk-ring tcp-echo INTERFACE ADDRESS, tcp-ping INTERFACE ADDRESS PEER COUNT    a round trip over TCP, for comparison
 *   pk-ring create PATH BYTES        make a ring with BYTES of data
 *   pk-ring keep NAME BYTES FILE [MEMORY]    hold memory for a channel until SIGTERM: see keep()
 */
#include "pk-channel.h"

#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

#include "../common/fail.h"
#include "../common/keep.h"
#include "../common/numbers.h"

const char program_name[] = "pk-ring";

/* Its channel is of no more use. */
static _Noreturn void give_up(const struct pk_channel *ch)
{
	fail_status = 3;
	refuse("%s", ch->error);
}

/* A ring in a file of its own: no daemon knows of it, and both ends are in one kernel. */
static struct pk_channel map_path(const char *path, int flags, uint64_t bytes)
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

static struct pk_channel attach(const char *name, enum pk_channel_side side)
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

/* The next message; NULL at the end of the stream. */
static const void *wait_message(struct pk_channel *ch, uint32_t *length)
{
	int result = PK_RING_EMPTY;
	const void *bytes = pk_channel_next(ch, length, -1, &result);

	if (bytes == NULL && result != PK_RING_ENDED)
		give_up(ch);
	return bytes;
}

static void release(struct pk_channel *ch, uint32_t length)
{
	if (pk_channel_release(ch, length) != 0)
		give_up(ch);
}

static void send_message(struct pk_channel *ch, const void *bytes, uint32_t length, uint32_t tag)
{
	if (pk_channel_send(ch, bytes, length, tag) != 0)
		give_up(ch);
}

static int create(const char *path, uint32_t data)
{
	struct pk_channel ch = map_path(path, O_CREAT | O_EXCL, (uint64_t)data + PK_RING_HEADER_BYTES);

	errno = 0;
	if (pk_ring_format(ch.memory, (uint32_t)ch.bytes, "pk-ring") != 0) {
		unlink(path);
		fail("the size must be a power of two from 4096 to 1073741824");
	}
	return 0;
}

/*
 * Holds the memory of a channel while no end of it does, for a daemon that may die: as a memfd, whose size is sealed so
 * that no end can cut it short under the other, with all its pages, so that none is missing later. FILE then says
 * `PID START_TIME FD`; the memory is /proc/PID/fd/FD, and its link text names NAME. With MEMORY, such a path, it takes over what another
 * keeper has left. Ends by SIGTERM and removes FILE; ends as well when FILE is gone, with its whole directory perhaps, or
 * names another keeper.
 */
static int keep(const char *name, uint32_t data, const char *file, const char *memory)
{
	uint64_t bytes = (uint64_t)data + PK_RING_HEADER_BYTES, whole = 8192;
	char title[80];
	const struct timespec patience = { LOOK_MS / 1000, 0 };
	sigset_t signals;
	int fd;

	snprintf(title, sizeof title, "pk-channel:%s", name);
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	fd = memory != NULL ? open(memory, O_RDWR | O_CLOEXEC) : memfd_create(title, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		fail("%s", memory ? memory : "memfd_create");
	if (memory == NULL) {
		void *ring;

		/* A power of two, as a PCI BAR wants it; what lies behind the ring is never touched and takes no memory. */
		while (whole < bytes)
			whole *= 2;
		if (ftruncate(fd, (off_t)whole) < 0 || (errno = posix_fallocate(fd, 0, (off_t)bytes)) != 0)
			fail("there is not enough memory");
		ring = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (ring == MAP_FAILED)
			fail("mmap");
		if (pk_ring_format(ring, (uint32_t)bytes, name) != 0)
			fail("the size must be a power of two from 4096 to 1073741824");
		munmap(ring, bytes);
		if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
			fail("sealing the memory");
	}
	if (keep_begin(file, fd) != 0)
		fail("%s", file);
	while (sigtimedwait(&signals, NULL, &patience) < 0)
		if (!keep_is_wanted(file))
			return 0;
	unlink(file);
	return 0;
}

static int send_lines(const char *name)
{
	struct pk_channel ch = attach(name, PK_CHANNEL_SEND);
	char *line = NULL;
	size_t room = 0;
	ssize_t length;

	while ((length = getline(&line, &room, stdin)) >= 0) {
		if (length > 0 && line[length - 1] == '\n')
			length--;
		send_message(&ch, line, length > INT_MAX ? UINT_MAX : (uint32_t)length, 0);
	}
	pk_channel_leave(&ch, PK_RING_CLOSED);
	return 0;
}

static int receive_lines(const char *name)
{
	struct pk_channel ch = attach(name, PK_CHANNEL_RECV);
	const void *bytes;
	uint32_t length;

	while ((bytes = wait_message(&ch, &length)) != NULL) {
		/* Flushed before the release: a message is either still in the ring or written. */
		if (fwrite(bytes, 1, length, stdout) != length || putchar('\n') < 0 || fflush(stdout) != 0)
			fail("standard output");
		release(&ch, length);
	}
	pk_channel_leave(&ch, PK_RING_DETACHED);
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

static int check_send(const char *path, uint32_t count, uint32_t longest, const char *ledger_path)
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

static int check_receive(const char *path, uint32_t count, const char *ledger_path)
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

#include "figures.h"

static uint32_t count(const char *text)
{
	return (uint32_t)number("argument", text, UINT_MAX);
}

int main(int argc, char **argv)
{
	const char *command = argc > 1 ? argv[1] : "";

	errno = 0;
	if (argc == 4 && strcmp(command, "create") == 0)
		return create(argv[2], count(argv[3]));
	if (argc == 3 && strcmp(command, "send") == 0)
		return send_lines(argv[2]);
	if (argc == 3 && strcmp(command, "recv") == 0)
		return receive_lines(argv[2]);
	if ((argc == 4 || argc == 5) && strcmp(command, "echo") == 0)
		return echo(argv[2], argv[3], argc == 5 ? count(argv[4]) : 0);
	if ((argc == 5 || argc == 6) && strcmp(command, "ping") == 0)
		return ping(argv[2], argv[3], count(argv[4]), argc == 6 ? count(argv[5]) : 0);
	if (argc == 5 && strcmp(command, "fill") == 0)
		return fill(argv[2], count(argv[3]), count(argv[4]));
	if (argc == 5 && strcmp(command, "drain") == 0)
		return drain(argv[2], count(argv[3]), count(argv[4]));
	if (argc == 4 && strcmp(command, "tcp-echo") == 0)
		return tcp_end(argv[2], argv[3], NULL, 0);
	if (argc == 6 && strcmp(command, "tcp-ping") == 0)
		return tcp_end(argv[2], argv[3], argv[4], count(argv[5]));
	if ((argc == 5 || argc == 6) && strcmp(command, "keep") == 0)
		return keep(argv[2], count(argv[3]), argv[4], argc == 6 ? argv[5] : NULL);
	if (argc == 6 && strcmp(command, "check-send") == 0)
		return check_send(argv[2], count(argv[3]), count(argv[4]), argv[5]);
	if (argc == 5 && strcmp(command, "check-recv") == 0)
		return check_receive(argv[2], count(argv[3]), argv[4]);
	if (argc == 4 && strcmp(command, "bench") == 0)
		return bench(argv[2], count(argv[3]));
	fputs("usage: pk-ring send CHANNEL | recv CHANNEL | echo IN OUT [COUNT] | ping OUT IN COUNT [WAIT] |\n"
	      "       fill CHANNEL COUNT BYTES | drain CHANNEL COUNT BYTES |\n"
	      "       check-send CHANNEL COUNT LONGEST LEDGER | check-recv CHANNEL COUNT LEDGER |\n"
	      "       tcp-echo INTERFACE ADDRESS | tcp-ping INTERFACE ADDRESS PEER COUNT |\n"
	      "       bench rtt|stream|bulk|memcpy|wake COUNT | create PATH BYTES | keep NAME BYTES FILE [MEMORY]\n", stderr);
	return 2;
}

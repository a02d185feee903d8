/* Figures of pk-ring: the ring against what else there is, within one kernel and between two. Part of pk-ring. */
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

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

static void lap_of(struct laps *laps, uint32_t step, uint32_t length)
{
	double at, each;

	if (step % length)
		return;
	at = now();
	each = (at - laps->began) / length;
	if (step > 0 && (laps->nanoseconds == 0 || each < laps->nanoseconds))
		laps->nanoseconds = each;
	laps->began = at;
}

static void lap(struct laps *laps, uint32_t step)
{
	lap_of(laps, step, LAP);
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

static void expect(struct pk_channel *ring, uint32_t number, uint32_t bytes, void *copy)
{
	uint32_t length, head[2];
	const void *message = wait_message(ring, &length);

	if (message == NULL || length != bytes)
		fail("a message is missing");
	pk_ring_copy(copy, message, length);
	release(ring, length);
	memcpy(head, copy, 4);
	memcpy(head + 1, (char *)copy + bytes - 4, 4);
	if (head[0] != number || head[1] != ~number)
		fail("a message is wrong");
}

static void put(struct pk_channel *ring, uint32_t number, uint32_t bytes, void *scratch)
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

static double stream(uint32_t count, uint32_t bytes)
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

/* The same between any two kernels, by name. */
static int echo(const char *from, const char *to, uint32_t count)
{
	struct pk_channel in = attach(from, PK_CHANNEL_RECV), out = attach(to, PK_CHANNEL_SEND);
	const void *message;
	uint32_t length;

	for (uint32_t i = 0; (count == 0 || i < count) && (message = wait_message(&in, &length)) != NULL; i++) {
		send_message(&out, message, length, in.ring.tag);
		release(&in, length);
	}
	pk_channel_leave(&out, PK_RING_DETACHED);
	pk_channel_leave(&in, PK_RING_DETACHED);
	return 0;
}

static int ping(const char *to, const char *from, uint32_t count, uint32_t wait_us)
{
	struct pk_channel out = attach(to, PK_CHANNEL_SEND), in = attach(from, PK_CHANNEL_RECV);
	double *each = wait_us ? calloc(count, sizeof *each) : NULL;
	_Alignas(64) char scratch[64] = { 0 };
	struct laps fastest = { 0 };

	for (uint32_t i = 0; i < count + 1000; i++) {
		double began = 0;

		if (wait_us > 0)
			usleep(wait_us);
		if (i >= 1000 && wait_us == 0)
			lap(&fastest, i - 1000);
		if (wait_us > 0) /* in some guests asking for the time costs more than the round trip */
			began = now();
		put(&out, i, 64, scratch);
		expect(&in, i, 64, scratch);
		if (wait_us > 0) {
			if (i == count)
				break;
			each[i] = now() - began;
		}
	}
	pk_channel_leave(&out, PK_RING_DETACHED);
	pk_channel_leave(&in, PK_RING_DETACHED);
	if (wait_us > 0)
		qsort(each, count, sizeof *each, by_value);
	printf("%.1f\n", wait_us > 0 ? each[count / 2] : fastest.nanoseconds);
	return 0;
}

static int fill(const char *name, uint32_t count, uint32_t bytes)
{
	struct pk_channel ch = attach(name, PK_CHANNEL_SEND);
	static char scratch[4096];

	if (bytes < 8 || bytes > sizeof scratch)
		fail("from 8 to 4096 bytes");
	for (uint32_t i = 0; i <= count; i++)
		put(&ch, i, bytes, scratch);
	pk_channel_leave(&ch, PK_RING_CLOSED);
	return 0;
}

static int drain(const char *name, uint32_t count, uint32_t bytes)
{
	struct pk_channel ch = attach(name, PK_CHANNEL_RECV);
	static char scratch[4096];
	struct laps fastest = { 0 };

	if (bytes < 8 || bytes > sizeof scratch)
		fail("from 8 to 4096 bytes");
	expect(&ch, 0, bytes, scratch);
	for (uint32_t i = 1; i <= count; i++) {
		lap(&fastest, i - 1);
		expect(&ch, i, bytes, scratch);
	}
	pk_channel_leave(&ch, PK_RING_DETACHED);
	printf("%.1f\n", fastest.nanoseconds);
	return 0;
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
		fail("the other end failed");
	printf("%.1f\n", result);
	return 0;
}

/* A round trip of 64 bytes over TCP between two kernels, for comparison. */
static void set_address(const char *interface, const char *address)
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	struct ifreq request = { 0 };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	snprintf(request.ifr_name, sizeof request.ifr_name, "%s", interface);
	if (fd < 0 || inet_pton(AF_INET, address, &at.sin_addr) != 1)
		fail("%s", address);
	memcpy(&request.ifr_addr, &at, sizeof at);
	if (ioctl(fd, SIOCSIFADDR, &request) != 0)
		fail("%s", interface);
	request.ifr_flags = IFF_UP | IFF_RUNNING;
	if (ioctl(fd, SIOCSIFFLAGS, &request) != 0)
		fail("%s", interface);
	close(fd);
}

static int tcp_end(const char *interface, const char *address, const char *peer, uint32_t count)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(7777) };
	struct laps fastest = { 0 };
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
	char bytes[64] = { 0 };

	set_address(interface, address);
	if (inet_pton(AF_INET, peer ? peer : address, &to.sin_addr) != 1)
		fail("the address");
	if (peer == NULL) {
		if (bind(fd, (struct sockaddr *)&to, sizeof to) != 0 || listen(fd, 1) != 0)
			fail("listen");
		puts("ready");
		fflush(stdout);
		fd = accept(fd, NULL, NULL);
	} else if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0) {
		fail("connect");
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	for (uint32_t i = 0; peer == NULL || i < count; i++) {
		if (peer != NULL)
			lap_of(&fastest, i, 200);
		if (peer != NULL && send(fd, bytes, sizeof bytes, 0) != sizeof bytes)
			fail("send");
		if (recv(fd, bytes, sizeof bytes, MSG_WAITALL) != sizeof bytes)
			break;
		if (peer == NULL && send(fd, bytes, sizeof bytes, 0) != sizeof bytes)
			fail("send");
	}
	if (peer != NULL)
		printf("%.1f\n", fastest.nanoseconds);
	return 0;
}

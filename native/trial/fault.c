/* Trouble of each kind, made with what any kernel has. Each ends by itself when its time is over, unless its kernel ends first. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../common/clock.h"
#include "../common/fail.h"
#include "trial.h"

#define MIB (1ul << 20)
#define DISK_BYTES (64 * MIB)
#define TELL_NS 200000000
#define LOOPS 1000000
#define DATAGRAM 1400
#define MOST_TARGETS 16
#define JUMP_S 3600

/* Shared by all its processes. */
struct ledger {
	uint64_t done;
	uint64_t until; /* of now_ns */
};

static struct ledger *ledger;

static uint64_t count(uint64_t more)
{
	return __atomic_add_fetch(&ledger->done, more, __ATOMIC_RELAXED);
}

static int is_over(void)
{
	return now_ns() >= ledger->until;
}

void await_go(void)
{
	char byte = 0;

	if (write(1, "begin\n", 6) != 6)
		exit(1);
	while (byte != '\n')
		if (read(0, &byte, 1) != 1)
			exit(0);
}

void tell_work(uint64_t since, uint64_t done)
{
	char line[64];
	int n = snprintf(line, sizeof line, "w %" PRIu64 " %" PRIu64 "\n", (now_ns() - since) / 1000000, done);

	if (write(1, line, (size_t)n) < 0)
		exit(0);
}

int cpu_count(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	return n < 1 ? 1 : (int)n;
}

static void set(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, value, strlen(value)) < 0)
		fail("%s", path);
	close(fd);
}

/* Whoever is to tell the tale outlives the others. */
static void protect(void)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd >= 0 && write(fd, "-1000", 5) == 5)
		mlockall(MCL_CURRENT);
	if (fd >= 0)
		close(fd);
	setpriority(PRIO_PROCESS, 0, -20);
}

static void expose(void)
{
	munlockall();
	setpriority(PRIO_PROCESS, 0, 0);
	set("/proc/self/oom_score_adj", "0");
}

/* Tells how far the others came until the time is over, and ends them. */
static int watch(uint64_t since)
{
	const struct timespec rest = {0, TELL_NS};

	while (!is_over()) {
		nanosleep(&rest, NULL);
		tell_work(since, count(0));
	}
	signal(SIGTERM, SIG_IGN);
	kill(0, SIGTERM);
	return 0;
}

/* Runs `work` in so many processes beside this one. */
static int in_processes(int n, void (*work)(void))
{
	uint64_t since = now_ns();

	for (int i = 0; i < n; i++) {
		pid_t pid = fork();

		if (pid < 0)
			fail("fork");
		if (pid == 0) {
			while (!is_over())
				work();
			_exit(0);
		}
	}
	return watch(since);
}

static void spin(void)
{
	for (volatile int i = 0; i < LOOPS; i++)
		;
	count(1);
}

static int panic_now(void)
{
	set("/proc/sys/kernel/sysrq", "1");
	set("/proc/sysrq-trigger", "c");
	return 0;
}

/*
 * From Linux 6.12 on a server of the deadline class has ordinary tasks run beside real-time ones, whatever sched_rt_runtime_us says
 * (kernel/sched/debug.c): without a share of time it does not.
 */
static void stop_fair_server(int cpu)
{
	char path[64];
	int fd;

	snprintf(path, sizeof path, "/sys/kernel/debug/sched/fair_server/cpu%d/runtime", cpu);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	if (write(fd, "0", 1) < 0)
		fail("%s", path);
	close(fd);
}

/*
 * Where that server cannot be stopped (User Mode Linux has no debugfs), ordinary tasks still get a little; the agent does not. A kernel
 * without this hierarchy has no such server.
 */
static void freeze_agent(int frozen)
{
	if (mkdir("/sys/fs/cgroup/hang", 0755) && errno != EEXIST)
		return;
	set("/sys/fs/cgroup/hang/cgroup.procs", "1");
	set("/sys/fs/cgroup/hang/cgroup.freeze", frozen ? "1" : "0");
}

/* No process of this kernel gets a CPU any more, its agent included. */
static int hang(void)
{
	const struct sched_param most = {.sched_priority = sched_get_priority_max(SCHED_FIFO)};
	int cpus = cpu_count();

	set("/proc/sys/kernel/sched_rt_runtime_us", "-1");
	/* It is there already, or this kernel has none. */
	mount("none", "/sys/kernel/debug", "debugfs", 0, NULL);
	for (int cpu = 0; cpu < cpus; cpu++)
		stop_fair_server(cpu);
	for (int cpu = cpus - 1; cpu >= 0; cpu--) {
		cpu_set_t mine;

		if (cpu > 0 && fork() != 0)
			continue;
		CPU_ZERO(&mine);
		CPU_SET(cpu, &mine);
		sched_setaffinity(0, sizeof mine, &mine);
		/* musl's own function only says that it is not there. */
		if (syscall(SYS_sched_setscheduler, 0, SCHED_FIFO, &most))
			fail("sched_setscheduler");
		if (cpu == 0)
			freeze_agent(1);
		while (!is_over())
			spin();
		if (cpu == 0)
			freeze_agent(0);
		return 0;
	}
	return 0;
}

static void fill_memory(void)
{
	expose();
	for (;;) {
		char *memory = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

		if (is_over())
			_exit(0);
		if (memory == MAP_FAILED)
			continue;
		for (size_t at = 0; at < MIB; at += 4096)
			memory[at] = 1;
	}
}

/* One process after the other takes all memory, until the kernel kills it. Work: how many it killed. */
static int oom(void)
{
	uint64_t since = now_ns();

	protect();
	while (!is_over()) {
		int status;
		pid_t pid = fork();

		if (pid == 0)
			fill_memory();
		if (pid < 0 || waitpid(pid, &status, 0) != pid)
			continue;
		if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
			tell_work(since, count(1));
	}
	return 0;
}

/* A count for each of its cache lines. */
static void write_through(char *piece)
{
	for (size_t i = 0; i < MIB; i += 64)
		piece[i]++;
}

/* Three quarters of what memory there is, written through again and again. Work: MiB, without the first time: that waits for pages. */
static int mem_hog(void)
{
	unsigned long kib = 0;
	char line[128];
	FILE *info = fopen("/proc/meminfo", "re");

	while (info && fgets(line, sizeof line, info))
		if (sscanf(line, "MemAvailable: %lu kB", &kib) == 1)
			break;
	size_t bytes = (size_t)kib * 1024 / 4 * 3 / MIB * MIB;
	char *memory = bytes == 0 ? MAP_FAILED : mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		fail("%zu bytes", bytes);
	for (size_t at = 0; at < bytes && !is_over(); at += MIB)
		write_through(memory + at);
	uint64_t since = now_ns(), told = since;
	for (size_t at = 0; !is_over(); at = (at + MIB) % bytes) {
		write_through(memory + at);
		count(1);
		if (now_ns() - told >= TELL_NS)
			tell_work(since, count(0)), told = now_ns();
	}
	return 0;
}

/* Writes a file on a disk over and over, each MiB made durable. Work: MiB. */
static int io_hog(const char *path)
{
	static char piece[MIB];
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	uint64_t since = now_ns(), told = since;

	if (fd < 0)
		fail("%s", path);
	for (off_t at = 0; !is_over(); at = (at + (off_t)MIB) % (off_t)DISK_BYTES) {
		memset(piece, (int)(count(0) & 0xff), sizeof piece);
		if (pwrite(fd, piece, sizeof piece, at) != sizeof piece || fdatasync(fd))
			fail("%s", path);
		count(1);
		if (now_ns() - told >= TELL_NS)
			tell_work(since, count(0)), told = now_ns();
	}
	return 0;
}

static void multiply(void)
{
	if (fork() >= 0)
		count(1);
}

static int fork_bomb(void)
{
	uint64_t since = now_ns();

	protect();
	pid_t pid = fork();
	if (pid < 0)
		fail("fork");
	if (pid == 0) {
		expose();
		while (!is_over())
			multiply();
		_exit(0);
	}
	return watch(since);
}

/* Datagrams to port 9 (discard) of each target in turn, as fast as they go. Work: datagrams. */
static int net_flood(char **targets, int n)
{
	static const char datagram[DATAGRAM];
	struct sockaddr_in to[MOST_TARGETS] = {0};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint64_t since = now_ns(), told = since;

	if (n < 1 || n > MOST_TARGETS)
		refuse("net-flood wants 1 to %d addresses", MOST_TARGETS);
	for (int i = 0; i < n; i++) {
		to[i].sin_family = AF_INET;
		to[i].sin_port = htons(9);
		if (inet_pton(AF_INET, targets[i], &to[i].sin_addr) != 1)
			refuse("%s is no address", targets[i]);
	}
	if (fd < 0)
		fail("socket");
	for (int i = 0; !is_over(); i = (i + 1) % n) {
		if (sendto(fd, datagram, sizeof datagram, MSG_DONTWAIT, (struct sockaddr *)&to[i], sizeof to[i]) > 0)
			count(1);
		if (now_ns() - told >= TELL_NS)
			tell_work(since, count(0)), told = now_ns();
	}
	return 0;
}

/* Work: seconds that the clock went ahead. */
static int clock_jump(void)
{
	uint64_t since = now_ns();
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	now.tv_sec += JUMP_S;
	if (clock_settime(CLOCK_REALTIME, &now))
		fail("clock_settime");
	count(JUMP_S);
	return watch(since);
}

int fault(const char *name, unsigned long seconds, char **arguments, int n)
{
	ledger = mmap(NULL, sizeof *ledger, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (ledger == MAP_FAILED)
		fail("mmap");
	await_go();
	ledger->until = now_ns() + (uint64_t)seconds * 1000000000;
	if (strcmp(name, "panic") == 0)
		return panic_now();
	if (strcmp(name, "hang") == 0)
		return hang();
	if (strcmp(name, "oom") == 0)
		return oom();
	if (strcmp(name, "cpu-hog") == 0)
		return in_processes(2 * cpu_count(), spin);
	if (strcmp(name, "mem-hog") == 0)
		return mem_hog();
	if (strcmp(name, "io-hog") == 0 && n == 1)
		return io_hog(arguments[0]);
	if (strcmp(name, "fork-bomb") == 0)
		return fork_bomb();
	if (strcmp(name, "net-flood") == 0)
		return net_flood(arguments, n);
	if (strcmp(name, "clock-jump") == 0)
		return clock_jump();
	refuse("there is no fault %s with %d arguments", name, n);
}

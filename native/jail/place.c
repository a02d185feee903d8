/* Where a VMM runs and its memory comes from, and the turns that it gets there. */
#include "place.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../common/fail.h"
#include "../common/numbers.h"

#define MPOL_BIND_MODE 2 /* linux/mempolicy.h */

static const struct { const char *name; int resource; } limits[] = {
	{"nofile", RLIMIT_NOFILE},
	{"nproc", RLIMIT_NPROC},
	{"data", RLIMIT_DATA},
	{"sigpending", RLIMIT_SIGPENDING},
	{"fsize", RLIMIT_FSIZE},
};

/* linux/sched.h, linux/ioprio.h */
#define NORMAL_POLICY 0
#define BATCH_POLICY 3
#define IDLE_POLICY 5
#define RESET_ON_FORK 0x40000000
#define OF_PROCESS 1
#define REAL_TIME_CLASS 1
#define MERGE_ALL_MEMORY 67 /* linux/prctl.h: PR_SET_MEMORY_MERGE */
#define CLASS_OF(priority) ((priority) >> 13)

static void pin(const char *list)
{
	struct numbers cpus;

	errno = 0;
	if (parse_numbers(list, &cpus) != 0)
		fail("--cpus: %s is not a list of CPUs", list);
	if (sched_setaffinity(0, sizeof cpus, (cpu_set_t *)&cpus) != 0)
		fail("--cpus %s", list);
}

/* All memory that is first touched from here on, by whatever runs later, comes from these nodes or not at all. */
static void bind_memory(const char *list)
{
	struct numbers nodes;

	errno = 0;
	if (parse_numbers(list, &nodes) != 0)
		fail("--mems: %s is not a list of nodes", list);
	if (syscall(SYS_set_mempolicy, MPOL_BIND_MODE, nodes.bits, (unsigned long)NUMBERS_MAX) == 0)
		return;
	/* A kernel without NUMA has one node, and everything is on it. */
	if (errno != ENOSYS || strcmp(list, "0") != 0)
		fail("--mems %s", list);
}

/* The files were opened by the daemon, whose rights count; 0 is the writer. */
static void join_groups(char *list)
{
	for (char *item = strtok(list, ","); item != NULL; item = strtok(NULL, ",")) {
		int file = (int)number("--join", item, 63);

		if (write(file, "0", 1) != 1)
			fail("joining a control group");
		close(file);
	}
}

/* NAME=N; for good. What is lower already stays. */
void limit(const char *setting)
{
	const char *value = strchr(setting, '=');

	errno = 0;
	for (size_t i = 0; value != NULL && i < sizeof limits / sizeof *limits; i++) {
		struct rlimit now, wanted;

		if (strlen(limits[i].name) != (size_t)(value - setting) ||
		    strncmp(limits[i].name, setting, (size_t)(value - setting)) != 0)
			continue;
		wanted.rlim_max = number("--rlimit", value + 1, 1ul << 62);
		if (getrlimit(limits[i].resource, &now) != 0)
			fail("--rlimit %s", setting);
		if (now.rlim_max < wanted.rlim_max)
			wanted.rlim_max = now.rlim_max;
		wanted.rlim_cur = wanted.rlim_max;
		if (setrlimit(limits[i].resource, &wanted) != 0)
			fail("--rlimit %s", setting);
		return;
	}
	fail("--rlimit: %s is not nofile, nproc, data, sigpending or fsize, and a number", setting);
}

/*
 * Whatever its starter has or may have: no turn on a CPU or a disk before that of others, and no right to take one; nor
 * memory that is merged with others', as a service manager may have it.
 */
void be_ordinary(void)
{
	struct rlimit none = {0, 0};
	long policy = syscall(SYS_sched_getscheduler, 0) & ~RESET_ON_FORK;
	int priority = 0;

	if (policy != NORMAL_POLICY && policy != BATCH_POLICY && policy != IDLE_POLICY &&
	    syscall(SYS_sched_setscheduler, 0, NORMAL_POLICY, &priority) != 0)
		fail("scheduling policy");
	if (getpriority(PRIO_PROCESS, 0) < 0 && setpriority(PRIO_PROCESS, 0, 0) != 0)
		fail("priority");
	if (CLASS_OF(syscall(SYS_ioprio_get, OF_PROCESS, 0)) == REAL_TIME_CLASS && syscall(SYS_ioprio_set, OF_PROCESS, 0, 0) != 0)
		fail("priority of disk accesses");
	if (setrlimit(RLIMIT_RTPRIO, &none) != 0 || setrlimit(RLIMIT_NICE, &none) != 0)
		fail("limits of priorities");
	/* EINVAL: Linux before 6.4, or one that merges nothing. */
	if (prctl(MERGE_ALL_MEMORY, 0, 0, 0, 0) != 0 && errno != EINVAL)
		fail("merging of memory");
}

/* The groups first: they may be what has the CPUs. */
void take_place(const struct place *place)
{
	if (place->joins != NULL)
		join_groups(place->joins);
	if (place->cpus != NULL)
		pin(place->cpus);
	if (place->mems != NULL)
		bind_memory(place->mems);
}

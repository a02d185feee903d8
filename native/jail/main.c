/*
 * pk-jail: the last step before a VMM's own program. Pins it, gives up every right and installs a system call filter.
 * docs/shim.md is its contract. Any step that fails ends it with status 125: nothing runs half confined.
 */
#include <errno.h>
#include <grp.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../common/fail.h"
#include "../common/numbers.h"
#include "init.h"

const char program_name[] = "pk-jail";

#define NAMESPACE_OWNER _IO(0xb7, 4) /* linux/nsfs.h: NS_GET_OWNER_UID */
#define CAPABILITY_VERSION_3 0x20080522
#define LAST_CAPABILITY 63
/* What a VMM needs that gives a guest files with their owners: CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER. */
#define FILE_CAPABILITIES (1u << 0 | 1u << 1 | 1u << 3)
/* Timers and queued signals: an ordinary user's kernels share his, some 1,000 for each 256 MiB of the host. */
#define SIGNALS_MOST "1024"
#define MPOL_BIND_MODE 2 /* linux/mempolicy.h */
/* linux/securebits.h: NOROOT, NO_SETUID_FIXUP, KEEP_CAPS never, each locked */
#define SECURE_BITS 0x2f

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

static const struct { const char *name; int resource; } limits[] = {
	{"nofile", RLIMIT_NOFILE},
	{"nproc", RLIMIT_NPROC},
	{"data", RLIMIT_DATA},
	{"sigpending", RLIMIT_SIGPENDING},
};

/* NAME=N; for good. What is lower already stays. */
static void limit(const char *setting)
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
	fail("--rlimit: %s is not nofile, nproc, data or sigpending, and a number", setting);
}

/* linux/sched.h, linux/ioprio.h */
#define NORMAL_POLICY 0
#define BATCH_POLICY 3
#define IDLE_POLICY 5
#define RESET_ON_FORK 0x40000000
#define OF_PROCESS 1
#define REAL_TIME_CLASS 1
#define CLASS_OF(priority) ((priority) >> 13)

/* Whatever its starter has or may have: no turn on a CPU or a disk before that of others, and no right to take one. */
static void be_ordinary(void)
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
}

/* The groups first: they may be what has the CPUs. */
static void take_place(const struct place *place)
{
	if (place->joins != NULL)
		join_groups(place->joins);
	if (place->cpus != NULL)
		pin(place->cpus);
	if (place->mems != NULL)
		bind_memory(place->mems);
}

/* Its root is nobody outside. All rights that we have from here on are over what its ids own. */
static void enter_guest_namespace(const char *text)
{
	int fd = (int)number("--userns", text, 1023);
	uid_t owner;

	/* It lets its owner in, who is its root seen from here (pk-cell). */
	if (ioctl(fd, NAMESPACE_OWNER, &owner) != 0 || setresuid(owner, owner, owner) != 0)
		fail("the owner of the guest's user namespace");
	if (setns(fd, CLONE_NEWUSER) != 0)
		fail("entering the guest's user namespace");
	close(fd);
	if (setresgid(0, 0, 0) != 0 || setresuid(0, 0, 0) != 0)
		fail("becoming root of the guest's user namespace");
}

/* Of the identity that we have by now; what goes from the bounding set can never be had again. */
static void drop_bounding_set(uint32_t kept)
{
	for (int capability = 0; capability <= LAST_CAPABILITY; capability++) {
		if (capability < 32 && (kept >> capability & 1))
			continue;
		/* EINVAL: above the last one. EPERM: a caller without rights; set_capabilities() makes sure of that. */
		if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0 && errno != EINVAL && errno != EPERM)
			fail("capability %d", capability);
	}
}

static void set_capabilities(uint32_t kept)
{
	struct { uint32_t version; int pid; } header = {CAPABILITY_VERSION_3, 0};
	struct { uint32_t effective, permitted, inheritable; } sets[2] = {{kept, kept, kept}, {0, 0, 0}};

	/* Being uid 0 inside gives nothing by itself. */
	if (prctl(PR_SET_SECUREBITS, SECURE_BITS, 0, 0, 0) != 0 && (kept != 0 || errno != EPERM))
		fail("secure bits");
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0 && errno != EINVAL)
		fail("ambient capabilities");
	if (syscall(SYS_capset, &header, sets) != 0)
		fail("capset");
	for (int capability = 0; capability < 32; capability++)
		if ((kept >> capability & 1) && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) != 0)
			fail("ambient capability %d", capability);
	/* With this, not even executing a file as root gives any back, whatever the bounding set holds. */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		fail("no_new_privs");
}

/* --groups: those that open devices. Before a user namespace is entered, in which they have no numbers. */
static void set_groups(char *list)
{
	gid_t groups[64];
	size_t count = 0;

	for (char *item = list == NULL ? NULL : strtok(list, ","); item != NULL; item = strtok(NULL, ",")) {
		if (count == sizeof groups / sizeof *groups)
			fail("--groups: too many");
		groups[count++] = (gid_t)number("--groups", item, 0xfffffffe);
	}
	/* Where the caller's ids are all there is, groups cannot be changed, nor used by those who are not in them. */
	if (setgroups(count, groups) != 0 && (count != 0 || errno != EPERM))
		fail("setgroups");
}

int main(int argc, char **argv)
{
	static const char *const kinds[] = {"uml", "qemu", "tool"};
	const char *userns = NULL;
	const char *capabilities = "none", *umask_text = "077";
	struct place place = {NULL, NULL, NULL};
	struct may may = {0, 0};
	char *group_list = NULL;
	struct rlimit none = {0, 0}, no_core = {1, 1};
	int at, no_randomize = 0, filter = -1;
	uint32_t kept;
	mode_t mask;

	fail_status = FAILED;
	for (at = 1; at < argc && strcmp(argv[at], "--") != 0; at++) {
		const char *option = argv[at];

		errno = 0;
		if (strcmp(option, "--no-randomize") == 0) {
			no_randomize = 1;
			continue;
		}
		if (strcmp(option, "--may-set-id") == 0) {
			may.set_id = 1;
			continue;
		}
		if (strcmp(option, "--may-use-huge-pages") == 0) {
			may.huge_pages = 1;
			continue;
		}
		if (at + 1 >= argc)
			fail("%s wants a value", option);
		at++;
		if (strcmp(option, "--groups") == 0)
			group_list = argv[at];
		else if (strcmp(option, "--userns") == 0)
			userns = argv[at];
		else if (strcmp(option, "--caps") == 0)
			capabilities = argv[at];
		else if (strcmp(option, "--umask") == 0)
			umask_text = argv[at];
		else if (strcmp(option, "--cpus") == 0)
			place.cpus = argv[at];
		else if (strcmp(option, "--mems") == 0)
			place.mems = argv[at];
		else if (strcmp(option, "--join") == 0)
			place.joins = argv[at];
		else if (strcmp(option, "--write") == 0) {
			if (writable_count == WRITABLE_MAX)
				fail("--write: too many");
			writable[writable_count++] = argv[at];
		} else if (strcmp(option, "--rlimit") == 0)
			limit(argv[at]);
		else if (strcmp(option, "--filter") == 0)
			for (int i = 0; i < 3; i++)
				filter = strcmp(argv[at], kinds[i]) == 0 ? i : filter;
		else
			fail("unknown option %s", option);
	}
	errno = 0;
	if (at + 1 >= argc || filter < 0)
		fail("usage: pk-jail --filter uml|qemu|tool [--userns FD] [--groups N,..] [--caps none|files] [--umask OCTAL] [--join FD,..] "
		     "[--cpus LIST] [--mems LIST] [--rlimit NAME=N].. [--write PATH].. [--no-randomize] [--may-set-id] [--may-use-huge-pages] -- PROGRAM ARG...");
	if (strcmp(capabilities, "none") != 0 && strcmp(capabilities, "files") != 0)
		fail("--caps: none or files is wanted, not %s", capabilities);
	kept = strcmp(capabilities, "files") == 0 ? FILE_CAPABILITIES : 0;
	mask = (mode_t)strtoul(umask_text, NULL, 8) & 0777;

	if (no_randomize && personality(ADDR_NO_RANDOMIZE) == -1)
		fail("personality");
	/* core(5): with 0 a program of the host would still be given what crashes, as root; 1 is for nobody. */
	if ((setrlimit(RLIMIT_CORE, &no_core) != 0 && setrlimit(RLIMIT_CORE, &none) != 0) || setrlimit(RLIMIT_MSGQUEUE, &none) != 0)
		fail("core limit");
	/* Counted for each user: what one kernel locks, others could not. */
	if (setrlimit(RLIMIT_MEMLOCK, &none) != 0)
		fail("limit of locked memory");
	limit("sigpending=" SIGNALS_MOST);
	be_ordinary();
	if (userns != NULL) {
		set_groups(group_list);
		enter_guest_namespace(userns);
	}
	drop_bounding_set(kept);
	set_capabilities(kept);
	/* The first process stays where its parent is. */
	if (getpid() == 1) {
		become_init((enum filter_kind)filter, may, mask, &place, take_place);
	} else {
		umask(mask);
		take_place(&place);
		install_filter(filter == FILTER_TOOL ? FILTER_TOOL : FILTER_INIT, may);
	}
	execv(argv[at + 1], argv + at + 1);
	fail("%s", argv[at + 1]);
}

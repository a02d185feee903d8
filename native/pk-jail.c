/*
 * pk-jail: the last step before a VMM's own program. Pins it, gives up every right and installs a system call filter.
 * docs/shim.md is its contract. Any step that fails ends it with status 125: nothing runs half confined.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <grp.h>
#include <sched.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "numbers.h"

/* From linux/filter.h, linux/seccomp.h, linux/audit.h and linux/capability.h, which musl does not bring. */
struct filter_step {
	uint16_t code;
	uint8_t if_true, if_false;
	uint32_t value;
};
struct filter_program {
	uint16_t length;
	struct filter_step *steps;
};
#define LOAD 0x20 /* BPF_LD | BPF_W | BPF_ABS */
#define IF_EQUAL 0x15
#define IF_AT_LEAST 0x35
#define IF_ANY_BIT 0x45
#define RETURN 0x06
#define ALLOW 0x7fff0000u
#define REFUSE(error) (0x00050000u | (error))
#define KILL 0x80000000u
#define OFFSET_NUMBER 0
#define OFFSET_ARCH 4
#define OFFSET_ARGUMENT0 16 /* low half, on a little-endian machine */
#define SECCOMP_MODE_FILTER_CALL 1
#define FLAG_SPEC_ALLOW 4 /* no speculation penalty for the filtered process */
#define CAPABILITY_VERSION_3 0x20080522
#define LAST_CAPABILITY 63
#define MPOL_BIND_MODE 2 /* linux/mempolicy.h */

#if defined __x86_64__
#define ARCH 0xc000003eu
#elif defined __aarch64__
#define ARCH 0xc00000b7u
#else
#error "no system call filter for this machine"
#endif

/* CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET */
#define NAMESPACE_FLAGS 0x7e020000u

/* What no VMM needs. Numbers above 423 are the same on all machines and may be missing from the C library's list. */
static const int denied[] = {
	/* namespaces and mounts */
	SYS_unshare, SYS_setns, SYS_mount, SYS_umount2, SYS_pivot_root, SYS_chroot,
	428 /* open_tree */, 429 /* move_mount */, 430 /* fsopen */, 431 /* fsconfig */, 432 /* fsmount */, 433 /* fspick */,
	442 /* mount_setattr */,
	/* the host kernel's inside */
	SYS_bpf, SYS_perf_event_open, SYS_kexec_load, SYS_init_module, SYS_finit_module,
	SYS_delete_module, SYS_userfaultfd, 425 /* io_uring_setup */, 426 /* io_uring_enter */, 427 /* io_uring_register */,
	SYS_syslog, SYS_acct, SYS_swapon, SYS_swapoff, SYS_reboot, SYS_quotactl, SYS_fanotify_init,
	/* keys */
	SYS_add_key, SYS_request_key, SYS_keyctl,
	/* other processes and files out of sight */
	SYS_name_to_handle_at, SYS_open_by_handle_at, SYS_process_vm_readv, SYS_process_vm_writev, SYS_kcmp,
	434 /* pidfd_open */, 438 /* pidfd_getfd */, 440 /* process_madvise */,
	/* where it runs and where its memory comes from: that was decided before it started */
	SYS_sched_setaffinity, SYS_set_mempolicy, SYS_migrate_pages, SYS_move_pages, 450 /* set_mempolicy_home_node */,
	/* other sockets */
	SYS_connect,
	/* clock and names of the host */
	SYS_settimeofday, SYS_clock_settime, SYS_clock_adjtime, SYS_adjtimex, SYS_sethostname, SYS_setdomainname, SYS_vhangup,
#ifdef __x86_64__
	SYS_iopl, SYS_ioperm, SYS_uselib, SYS_lookup_dcookie,
#endif
};

static struct filter_step steps[256];
static uint16_t length;

static void fail(const char *format, ...)
{
	va_list list;
	int error = errno;

	fputs("pk-jail: ", stderr);
	va_start(list, format);
	vfprintf(stderr, format, list);
	va_end(list);
	if (error)
		fprintf(stderr, ": %s", strerror(error));
	fputc('\n', stderr);
	exit(125);
}

static void step(uint16_t code, uint32_t value, uint8_t if_true, uint8_t if_false)
{
	if (length == sizeof steps / sizeof *steps) {
		errno = 0;
		fail("the system call filter is too long");
	}
	steps[length++] = (struct filter_step){code, if_true, if_false, value};
}

static void refuse(int number, int error)
{
	step(IF_EQUAL, (uint32_t)number, 0, 1);
	step(RETURN, REFUSE((uint32_t)error), 0, 0);
}

static void install_filter(int is_uml)
{
	struct filter_program program;

	step(LOAD, OFFSET_ARCH, 0, 0);
	step(IF_EQUAL, ARCH, 1, 0);
	step(RETURN, KILL, 0, 0);
	step(LOAD, OFFSET_NUMBER, 0, 0);
#ifdef __x86_64__
	step(IF_AT_LEAST, 0x40000000, 0, 1); /* x32 has every call under a second number */
	step(RETURN, KILL, 0, 0);
#endif
	for (size_t i = 0; i < sizeof denied / sizeof *denied; i++)
		refuse(denied[i], EPERM);
#ifdef SYS_kexec_file_load
	refuse(SYS_kexec_file_load, EPERM);
#endif
	/* QEMU binds the memory of the guest's nodes by itself. */
	refuse(is_uml ? SYS_mbind : SYS_ptrace, EPERM);
	/* Its flags are behind a pointer; C libraries fall back to clone. */
	refuse(435 /* clone3 */, ENOSYS);
	/* Network namespaces do not contain every family (vsock): Unix sockets only. */
	step(IF_EQUAL, SYS_socket, 0, 4);
	step(LOAD, OFFSET_ARGUMENT0, 0, 0);
	step(IF_EQUAL, AF_UNIX, 1, 0);
	step(RETURN, REFUSE(EAFNOSUPPORT), 0, 0);
	step(RETURN, ALLOW, 0, 0);
	step(IF_EQUAL, SYS_clone, 0, 3);
	step(LOAD, OFFSET_ARGUMENT0, 0, 0);
	step(IF_ANY_BIT, NAMESPACE_FLAGS, 0, 1);
	step(RETURN, REFUSE(EPERM), 0, 0);
	step(RETURN, ALLOW, 0, 0);
	program = (struct filter_program){length, steps};
	/* Kernels before 4.17 do not know the flag. */
	if (syscall(SYS_seccomp, SECCOMP_MODE_FILTER_CALL, FLAG_SPEC_ALLOW, &program) != 0 &&
	    syscall(SYS_seccomp, SECCOMP_MODE_FILTER_CALL, 0, &program) != 0)
		fail("seccomp");
}

static unsigned long number(const char *option, const char *text, unsigned long most)
{
	char *end;
	unsigned long value;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (end == text || *end != 0 || errno != 0 || value > most || *text == '-') {
		errno = 0;
		fail("%s: %s is not a number up to %lu", option, text, most);
	}
	return value;
}

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

static void set_identity(gid_t *groups, size_t count, const char *uid, const char *gid)
{
	uid_t u = (uid_t)number("--uid", uid, 0xfffffffe);
	gid_t g = (gid_t)number("--gid", gid, 0xfffffffe);

	if (setgroups(count, groups) != 0)
		fail("setgroups");
	if (setresgid(g, g, g) != 0)
		fail("--gid %s", gid);
	if (setresuid(u, u, u) != 0)
		fail("--uid %s", uid);
}

/* Before the change of identity, which takes the right to do this along. */
static void drop_bounding_set(void)
{
	for (int capability = 0; capability <= LAST_CAPABILITY; capability++) {
		/* EINVAL: above the last one. EPERM: a caller without rights; clear_capabilities() makes sure of that. */
		if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0 && errno != EINVAL && errno != EPERM)
			fail("capability %d", capability);
	}
}

static void clear_capabilities(void)
{
	struct { uint32_t version; int pid; } header = {CAPABILITY_VERSION_3, 0};
	struct { uint32_t effective, permitted, inheritable; } sets[2] = {{0, 0, 0}, {0, 0, 0}};

	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0 && errno != EINVAL)
		fail("ambient capabilities");
	if (syscall(SYS_capset, &header, sets) != 0)
		fail("capset");
	/* With this, not even executing a file as root gives any back, whatever the bounding set holds. */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		fail("no_new_privs");
}

int main(int argc, char **argv)
{
	const char *uid = NULL, *gid = NULL, *filter = NULL;
	const char *cpus = NULL, *mems = NULL;
	char *joins = NULL, *group_list = NULL;
	struct rlimit none = {0, 0};
	gid_t groups[64];
	size_t count = 0;
	int at, no_randomize = 0;

	for (at = 1; at < argc && strcmp(argv[at], "--") != 0; at++) {
		const char *option = argv[at];

		errno = 0;
		if (strcmp(option, "--no-randomize") == 0) {
			no_randomize = 1;
			continue;
		}
		if (at + 1 >= argc)
			fail("%s wants a value", option);
		at++;
		if (strcmp(option, "--uid") == 0)
			uid = argv[at];
		else if (strcmp(option, "--gid") == 0)
			gid = argv[at];
		else if (strcmp(option, "--groups") == 0)
			group_list = argv[at];
		else if (strcmp(option, "--cpus") == 0)
			cpus = argv[at];
		else if (strcmp(option, "--mems") == 0)
			mems = argv[at];
		else if (strcmp(option, "--join") == 0)
			joins = argv[at];
		else if (strcmp(option, "--filter") == 0)
			filter = argv[at];
		else
			fail("unknown option %s", option);
	}
	errno = 0;
	if (at + 1 >= argc || (uid == NULL) != (gid == NULL))
		fail("usage: pk-jail [--uid N --gid N [--groups N,..]] [--join FD,..] [--cpus LIST] [--mems LIST] "
		     "[--no-randomize] [--filter uml|qemu|tool] -- PROGRAM ARG...");
	/* A tool that unpacks what others made needs nothing that QEMU may not do. */
	if (filter != NULL && strcmp(filter, "uml") != 0 && strcmp(filter, "qemu") != 0 && strcmp(filter, "tool") != 0)
		fail("--filter: uml, qemu or tool is wanted, not %s", filter);
	for (char *item = group_list == NULL ? NULL : strtok(group_list, ","); item != NULL; item = strtok(NULL, ",")) {
		if (count == sizeof groups / sizeof *groups)
			fail("--groups: too many");
		groups[count++] = (gid_t)number("--groups", item, 0xfffffffe);
	}

	/* The groups first: they may be what has the CPUs. */
	if (joins != NULL)
		join_groups(joins);
	if (cpus != NULL)
		pin(cpus);
	if (mems != NULL)
		bind_memory(mems);
	if (no_randomize && personality(ADDR_NO_RANDOMIZE) == -1)
		fail("personality");
	if (setrlimit(RLIMIT_CORE, &none) != 0)
		fail("core limit");
	drop_bounding_set();
	if (uid != NULL)
		set_identity(groups, count, uid, gid);
	clear_capabilities();
	if (filter != NULL)
		install_filter(strcmp(filter, "uml") == 0);
	execv(argv[at + 1], argv + at + 1);
	fail("%s", argv[at + 1]);
}

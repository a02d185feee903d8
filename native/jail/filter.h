/*
 * The system call filters of a jail: of the VMM, and of the jail's first process, which serves it (init.h).
 *
 * What a VMM may not do at all is in `denied`. Modes are looked at because its volumes are written with real owners: a
 * set-uid bit would make a guest's file the host's program.
 */
#ifndef JAIL_FILTER_H
#define JAIL_FILTER_H

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../common/fail.h"

/* From linux/filter.h, linux/seccomp.h, linux/audit.h, which musl does not bring. */
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
#define AND 0x54 /* BPF_ALU | BPF_AND | BPF_K */
#define IF_EQUAL 0x15
#define IF_ABOVE 0x25
#define IF_AT_LEAST 0x35
#define IF_ANY_BIT 0x45
#define RETURN 0x06
#define ALLOW 0x7fff0000u
#define ASK 0x7fc00000u /* the listener: init.h */
#define REFUSE(error) (0x00050000u | (error))
#define KILL 0x80000000u
#define OFFSET_NUMBER 0
#define OFFSET_ARCH 4
#define ARGUMENT(index) (16u + 8 * (index)) /* its low half, on a little-endian machine */
#define SECCOMP_MODE_FILTER_CALL 1
#define FLAG_SPEC_ALLOW 4 /* no speculation penalty for the filtered process */
#define FLAG_NEW_LISTENER 8

#if defined __x86_64__
#define ARCH 0xc000003eu
#elif defined __aarch64__
#define ARCH 0xc00000b7u
#else
#error "no system call filter for this machine"
#endif

/* CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET */
#define NAMESPACE_FLAGS 0x7e020000u
/* The last call that was looked at: mseal of Linux 6.10. What is newer answers as an older kernel would. */
#define NEWEST_CALL 462
/* linux/fcntl.h: F_SETLK, F_SETLKW, F_OFD_SETLK, F_OFD_SETLKW, F_SETLEASE, F_NOTIFY */
#define SET_LOCK 6
#define SET_LOCK_WAIT 7
#define SET_OPEN_FILE_LOCK 37
#define SET_OPEN_FILE_LOCK_WAIT 38
#define SET_LEASE 1024
#define NOTIFY_DIRECTORY 1026
/* The last of them that was looked at: F_SET_FILE_RW_HINT. Linux 6.19 has leases of directories behind it. */
#define NEWEST_FILE_COMMAND 1038
#define TMPFILE_BIT 020000000
#define PACKET_LEVEL 263 /* linux/socket.h: SOL_PACKET */
#define CORE_LIMIT 4 /* asm-generic/resource.h: RLIMIT_CORE */
#define SET_FILTER 22 /* linux/prctl.h: PR_SET_SECCOMP */
#define NAME_MEMORY 0x53564d41 /* linux/prctl.h: PR_SET_VMA */
/* asm/socket.h: SO_ATTACH_FILTER, SO_ATTACH_BPF to SO_ATTACH_REUSEPORT_EBPF */
#define ATTACH_FILTER 26
#define ATTACH_PROGRAM 50
#define ATTACH_REUSEPORT_PROGRAM 52
/* linux/mman.h, linux/memfd.h, linux/shm.h: of huge pages. */
#define MAP_HUGE 0x40000
#define MEMFD_HUGE 4
#define SHM_HUGE 04000

/* What no VMM needs. Numbers above 423 are the same on all machines and may be missing from the C library's list. */
static const int denied[] = {
	/* namespaces and mounts */
	SYS_unshare, SYS_setns, SYS_mount, SYS_umount2, SYS_pivot_root, SYS_chroot,
	428 /* open_tree */, 429 /* move_mount */, 430 /* fsopen */, 431 /* fsconfig */, 432 /* fsmount */, 433 /* fspick */,
	442 /* mount_setattr */,
	/* the host kernel's inside */
	SYS_bpf, SYS_perf_event_open, SYS_kexec_load, SYS_init_module, SYS_finit_module,
	SYS_delete_module, SYS_userfaultfd, 425 /* io_uring_setup */, 426 /* io_uring_enter */, 427 /* io_uring_register */,
	SYS_syslog, SYS_acct, SYS_swapon, SYS_swapoff, SYS_reboot, SYS_quotactl, 443 /* quotactl_fd */, SYS_fanotify_init,
	447 /* memfd_secret */, 457 /* statmount */, 458 /* listmount */, 459 /* lsm_* */, 460, 461,
	/* keys */
	SYS_add_key, SYS_request_key, SYS_keyctl,
	/* other processes and files out of sight */
	SYS_name_to_handle_at, SYS_open_by_handle_at, SYS_process_vm_readv, SYS_process_vm_writev, SYS_kcmp,
	434 /* pidfd_open */, 438 /* pidfd_getfd */, 440 /* process_madvise */, 448 /* process_mrelease */,
	/* where it runs and where its memory comes from: that was decided before it started */
	SYS_sched_setaffinity, SYS_set_mempolicy, SYS_migrate_pages, SYS_move_pages, 450 /* set_mempolicy_home_node */,
	/* other sockets */
	SYS_connect,
	/* of what the host counts for each user, there are 128; of requests that files are read by, 65,536 for all of the host */
	SYS_inotify_init1, SYS_io_setup,
	/* of what no control group counts, as check_locks() */
	SYS_flock, SYS_timerfd_create,
	/* clock and names of the host */
	SYS_settimeofday, SYS_clock_settime, SYS_clock_adjtime, SYS_adjtimex, SYS_sethostname, SYS_setdomainname, SYS_vhangup,
#ifdef SYS_kexec_file_load
	SYS_kexec_file_load,
#endif
#ifdef __x86_64__
	SYS_iopl, SYS_ioperm, SYS_uselib, SYS_lookup_dcookie, SYS_inotify_init,
#endif
};

/*
 * What would change the device behind a network card's descriptor, or reach what lies behind it (linux/if_tun.h,
 * linux/sockios.h), what has the host load its bridge, its VLANs or a line discipline, for any socket or terminal will do
 * for that, what types into a terminal or takes the console's output (asm/ioctls.h), and what makes of a read-only tree a
 * writable one, with its set-uid programs and with what is covered in it (linux/btrfs.h).
 */
static const uint32_t denied_requests[] = {
	0x400454ca /* TUNSETIFF */, 0x400454da /* TUNSETIFINDEX */, 0x400454cb /* TUNSETPERSIST */, 0x400454cc /* TUNSETOWNER */,
	0x400454ce /* TUNSETGROUP */, 0x400454cd /* TUNSETLINK */, 0x400454c9 /* TUNSETDEBUG */, 0x400454d9 /* TUNSETQUEUE */,
	0x400454d1 /* TUNSETTXFILTER */, 0x401054d5 /* TUNATTACHFILTER */, 0x401054d6 /* TUNDETACHFILTER */,
	0x800454e0 /* TUNSETSTEERINGEBPF */, 0x800454e1 /* TUNSETFILTEREBPF */, 0x400454e2 /* TUNSETCARRIER */,
	0x54e3 /* TUNGETDEVNETNS */, 0x8924 /* SIOCSIFHWADDR */, 0x894c /* SIOCGSKNS */,
	0x8940 /* SIOCGIFBR */, 0x8941 /* SIOCSIFBR */, 0x89a0 /* SIOCBRADDBR */, 0x89a1 /* SIOCBRDELBR */,
	0x8982 /* SIOCGIFVLAN */, 0x8983 /* SIOCSIFVLAN */, 0x5412 /* TIOCSTI */,
	0x541c /* TIOCLINUX */, 0x541d /* TIOCCONS */, 0x5423 /* TIOCSETD */, 0x50009401 /* BTRFS_IOC_SNAP_CREATE */, 0x50009417 /* BTRFS_IOC_SNAP_CREATE_V2 */,
};

enum filter_kind { FILTER_UML, FILTER_QEMU, FILTER_TOOL, FILTER_INIT };

struct may {
	int set_id, huge_pages;
};

static struct filter_step steps[512];
static uint16_t length;

static void step(uint16_t code, uint32_t value, uint8_t if_true, uint8_t if_false)
{
	if (length == sizeof steps / sizeof *steps) {
		errno = 0;
		fail("the system call filter is too long");
	}
	steps[length++] = (struct filter_step){code, if_true, if_false, value};
}

static void answer_call(int number, uint32_t answer)
{
	step(IF_EQUAL, (uint32_t)number, 0, 1);
	step(RETURN, answer, 0, 0);
}

/* Refuses set-uid in argument `mode`, and gives `set_group` as the answer to set-gid alone. */
static void check_mode(int number, unsigned mode, uint32_t set_group)
{
	step(IF_EQUAL, (uint32_t)number, 0, 6);
	step(LOAD, ARGUMENT(mode), 0, 0);
	step(IF_ANY_BIT, S_ISUID, 0, 1);
	step(RETURN, REFUSE(EPERM), 0, 0);
	step(IF_ANY_BIT, S_ISGID, 0, 1);
	step(RETURN, set_group, 0, 0);
	step(RETURN, ALLOW, 0, 0);
}

/* The mode counts only where a file is made. */
static void check_open(int number, unsigned flags)
{
	step(IF_EQUAL, (uint32_t)number, 0, 7);
	step(LOAD, ARGUMENT(flags), 0, 0);
	step(IF_ANY_BIT, O_CREAT | TMPFILE_BIT, 1, 0);
	step(RETURN, ALLOW, 0, 0);
	step(LOAD, ARGUMENT(flags + 1), 0, 0);
	step(IF_ANY_BIT, S_ISUID | S_ISGID, 0, 1);
	step(RETURN, REFUSE(EPERM), 0, 0);
	step(RETURN, ALLOW, 0, 0);
}

/* `set_group`: what a set-gid bit answers. A directory may have it, and only the listener can tell what a name stands for. */
static void check_modes(uint32_t set_group)
{
#ifdef __x86_64__
	check_mode(SYS_chmod, 1, set_group);
	check_mode(SYS_mkdir, 1, ALLOW); /* the kernel takes no set-gid bit from mkdir */
	check_mode(SYS_mknod, 1, REFUSE(EPERM));
	check_mode(SYS_creat, 1, REFUSE(EPERM));
	check_open(SYS_open, 1);
#endif
	check_mode(SYS_fchmod, 1, set_group);
	check_mode(SYS_fchmodat, 2, set_group);
	check_mode(452 /* fchmodat2 */, 2, set_group);
	check_mode(SYS_mkdirat, 2, ALLOW);
	check_mode(SYS_mknodat, 2, REFUSE(EPERM));
	check_open(SYS_openat, 2);
	answer_call(437 /* openat2: its mode is behind a pointer */, REFUSE(ENOSYS));
}

/*
 * No VMM makes a socket that could be pointed elsewhere: it has those that it was given. UML's management console wants a
 * datagram socket; the listener gives it one end of a pair. Of pairs those alone are let through that can send to nobody
 * else: datagrams could go to any name, and SOCK_RAW is another word for them.
 */
static void check_sockets(enum filter_kind kind)
{
	if (kind == FILTER_UML) {
		step(IF_EQUAL, SYS_socket, 0, 7);
		step(LOAD, ARGUMENT(0), 0, 0);
		step(IF_EQUAL, AF_UNIX, 0, 4);
		step(LOAD, ARGUMENT(1), 0, 0);
		step(AND, 15, 0, 0);
		step(IF_EQUAL, SOCK_DGRAM, 0, 1);
		step(RETURN, ASK, 0, 0);
		step(RETURN, REFUSE(EAFNOSUPPORT), 0, 0);
	} else {
		answer_call(SYS_socket, REFUSE(EAFNOSUPPORT));
	}
	step(IF_EQUAL, SYS_socketpair, 0, 8);
	step(LOAD, ARGUMENT(0), 0, 0);
	step(IF_EQUAL, AF_UNIX, 0, 5);
	step(LOAD, ARGUMENT(1), 0, 0);
	step(AND, 15, 0, 0);
	step(IF_EQUAL, SOCK_STREAM, 1, 0);
	step(IF_EQUAL, SOCK_SEQPACKET, 0, 1);
	step(RETURN, ALLOW, 0, 0);
	step(RETURN, REFUSE(EPERM), 0, 0);
	/*
	 * Rings of packets are memory that no control group counts. So is the machine code of filters, of which the host has a
	 * fixed amount: without any left nobody but its root can have a system call filter.
	 */
	step(IF_EQUAL, SYS_setsockopt, 0, 10);
	step(LOAD, ARGUMENT(1), 0, 0);
	step(IF_EQUAL, PACKET_LEVEL, 6, 0);
	step(IF_EQUAL, SOL_SOCKET, 1, 0);
	step(RETURN, ALLOW, 0, 0);
	step(LOAD, ARGUMENT(2), 0, 0);
	step(IF_EQUAL, ATTACH_FILTER, 2, 0);
	step(IF_AT_LEAST, ATTACH_PROGRAM, 0, 2);
	step(IF_ABOVE, ATTACH_REUSEPORT_PROGRAM, 1, 0);
	step(RETURN, REFUSE(EPERM), 0, 0);
	step(RETURN, ALLOW, 0, 0);
}

/* Refuses a call with one of these bits in an argument. */
static void check_bits(int number, unsigned argument, uint32_t bits)
{
	step(IF_EQUAL, (uint32_t)number, 0, 4);
	step(LOAD, ARGUMENT(argument), 0, 0);
	step(IF_ANY_BIT, bits, 0, 1);
	step(RETURN, REFUSE(EPERM), 0, 0);
	step(RETURN, ALLOW, 0, 0);
}

/* Huge pages are few, reserved for the kernels that own them, and in no memory group. */
static void check_huge_pages(void)
{
	check_bits(SYS_mmap, 3, MAP_HUGE);
	check_bits(SYS_memfd_create, 1, MEMFD_HUGE);
	check_bits(SYS_shmget, 2, SHM_HUGE);
}

/*
 * A lock or a lease on a file of the host makes its programs wait. And each byte that is locked costs the host's kernel
 * memory that no control group counts and no limit bounds.
 */
static void check_locks(void)
{
	static const uint32_t commands[] = {
		SET_LOCK, SET_LOCK_WAIT, SET_OPEN_FILE_LOCK, SET_OPEN_FILE_LOCK_WAIT, SET_LEASE, NOTIFY_DIRECTORY,
	};
	uint8_t count = sizeof commands / sizeof *commands;

	step(IF_EQUAL, SYS_fcntl, 0, (uint8_t)(count + 4));
	step(LOAD, ARGUMENT(1), 0, 0);
	step(IF_ABOVE, NEWEST_FILE_COMMAND, (uint8_t)(count + 1), 0);
	for (uint8_t i = 0; i < count; i++)
		step(IF_EQUAL, commands[i], (uint8_t)(count - i), 0);
	step(RETURN, ALLOW, 0, 0);
	step(RETURN, REFUSE(EPERM), 0, 0);
}

/*
 * The machine code of system call filters, of up to 32,768 steps in each process, takes from the same fixed amount as that of
 * sockets (check_sockets). QEMU makes one for its sandbox, and has few processes. Names of memory are in no control group.
 */
static void check_filters(enum filter_kind kind)
{
	if (kind != FILTER_QEMU)
		answer_call(SYS_seccomp, REFUSE(EPERM));
	step(IF_EQUAL, SYS_prctl, 0, 5);
	step(LOAD, ARGUMENT(0), 0, 0);
	step(IF_EQUAL, NAME_MEMORY, 2, 0);
	step(IF_EQUAL, kind == FILTER_QEMU ? NAME_MEMORY : SET_FILTER, 1, 0);
	step(RETURN, ALLOW, 0, 0);
	step(RETURN, REFUSE(EPERM), 0, 0);
}

/* It is 1, which alone keeps a core dump from a program of the host (core(5)); 0 does not. */
static void check_core_limit(void)
{
	step(IF_EQUAL, SYS_setrlimit, 0, 4);
	step(LOAD, ARGUMENT(0), 0, 0);
	step(IF_EQUAL, CORE_LIMIT, 0, 1);
	step(RETURN, REFUSE(EPERM), 0, 0);
	step(RETURN, ALLOW, 0, 0);
	/* A null pointer asks for it and changes nothing. */
	step(IF_EQUAL, SYS_prlimit64, 0, 9);
	step(LOAD, ARGUMENT(1), 0, 0);
	step(IF_EQUAL, CORE_LIMIT, 1, 0);
	step(RETURN, ALLOW, 0, 0);
	step(LOAD, ARGUMENT(2), 0, 0);
	step(IF_EQUAL, 0, 0, 2);
	step(LOAD, ARGUMENT(2) + 4, 0, 0);
	step(IF_EQUAL, 0, 1, 0);
	step(RETURN, REFUSE(EPERM), 0, 0);
	step(RETURN, ALLOW, 0, 0);
}

static void check_requests(void)
{
	uint8_t count = sizeof denied_requests / sizeof *denied_requests;

	step(IF_EQUAL, SYS_ioctl, 0, (uint8_t)(count + 3));
	step(LOAD, ARGUMENT(1), 0, 0);
	for (uint8_t i = 0; i < count; i++)
		step(IF_EQUAL, denied_requests[i], (uint8_t)(count - i), 0);
	step(RETURN, ALLOW, 0, 0);
	step(RETURN, REFUSE(EPERM), 0, 0);
}

/*
 * Filters this process and all it starts. `may` is what it lets pass: modes as they are, huge pages. Returns the descriptor of a listener for
 * a VMM, or -1 where this kernel has none: what it would be asked is refused then.
 */
static int install_filter(enum filter_kind kind, struct may may)
{
	int listens = kind == FILTER_UML || kind == FILTER_QEMU, result;
	struct filter_program program;

	length = 0;
	step(LOAD, OFFSET_ARCH, 0, 0);
	step(IF_EQUAL, ARCH, 1, 0);
	step(RETURN, KILL, 0, 0);
	step(LOAD, OFFSET_NUMBER, 0, 0);
#ifdef __x86_64__
	step(IF_AT_LEAST, 0x40000000, 0, 1); /* x32 has every call under a second number */
	step(RETURN, KILL, 0, 0);
#endif
	step(IF_ABOVE, NEWEST_CALL, 0, 1);
	step(RETURN, REFUSE(ENOSYS), 0, 0);
	/* First, for UML maps memory all the time. */
	if (!may.huge_pages)
		check_huge_pages();
	for (size_t i = 0; i < sizeof denied / sizeof *denied; i++)
		answer_call(denied[i], REFUSE(EPERM));
	if (kind != FILTER_UML)
		answer_call(SYS_ptrace, REFUSE(EPERM));
	/*
	 * The policy of each page of shared memory is kept when it is no longer mapped, without bound, and in no control group.
	 * pk-jail has bound all memory already; QEMU asks all the same, and takes no for an answer where a kernel has no nodes.
	 */
	answer_call(SYS_mbind, REFUSE(ENOSYS));
	/* Its flags are behind a pointer; C libraries fall back to clone. */
	answer_call(435 /* clone3 */, REFUSE(ENOSYS));
	step(IF_EQUAL, SYS_clone, 0, 4);
	step(LOAD, ARGUMENT(0), 0, 0);
	step(IF_ANY_BIT, NAMESPACE_FLAGS, 0, 1);
	step(RETURN, REFUSE(EPERM), 0, 0);
	step(RETURN, ALLOW, 0, 0);
	check_sockets(kind);
	check_filters(kind);
	check_locks();
	check_core_limit();
	check_requests();
	if (!may.set_id)
		check_modes(listens ? ASK : kind == FILTER_INIT ? ALLOW : REFUSE(EPERM));
	step(RETURN, ALLOW, 0, 0);
	program = (struct filter_program){length, steps};
	if (listens) {
		result = (int)syscall(SYS_seccomp, SECCOMP_MODE_FILTER_CALL, FLAG_SPEC_ALLOW | FLAG_NEW_LISTENER, &program);
		if (result >= 0)
			return result;
		/* Before 5.0, or in a jail in a jail: nobody answers, and such calls say ENOSYS. */
	}
	/* Kernels before 4.17 do not know the flag. */
	if (syscall(SYS_seccomp, SECCOMP_MODE_FILTER_CALL, FLAG_SPEC_ALLOW, &program) != 0 &&
	    syscall(SYS_seccomp, SECCOMP_MODE_FILTER_CALL, 0, &program) != 0)
		fail("seccomp");
	return -1;
}

#endif

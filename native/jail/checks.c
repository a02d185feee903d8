/* Calls that a VMM may make with some arguments and not with others. */
#include "checks.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "bpf.h"
#include "denied.h"
#include "filter.h"

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
/* asm-generic/resource.h: RLIMIT_CORE, RLIMIT_NOFILE */
#define CORE_LIMIT 4
#define FILE_LIMIT 7

#define SET_FILTER 22 /* linux/prctl.h: PR_SET_SECCOMP */
#define MAKE_FILTER 1 /* linux/seccomp.h: SECCOMP_SET_MODE_FILTER */
/* The last of prctl that was looked at: PR_FUTEX_HASH of Linux 6.16. Names of memory (PR_SET_VMA) and the like are far above. */
#define NEWEST_OPTION 78
#define SHARE_CORES 62 /* linux/prctl.h: PR_SCHED_CORE */
#define MERGE_ALL_MEMORY 67 /* linux/prctl.h: PR_SET_MEMORY_MERGE */

#define NOTIFICATION_PIPE O_EXCL /* linux/watch_queue.h */
/* linux/falloc.h: all modes but FALLOC_FL_KEEP_SIZE; asm-generic/mman-common.h: MADV_REMOVE, MADV_MERGEABLE, MADV_PAGEOUT, MADV_COLLAPSE */
#define CHANGE_WITHIN (~1u)
#define REMOVE_MEMORY 9
#define MERGE_MEMORY 12
#define PAGE_OUT 21
#define COLLAPSE_MEMORY 25

/* linux/mman.h, linux/memfd.h: of huge pages. */
#define MAP_HUGE 0x40000
#define MEMFD_HUGE 4

/* linux/futex.h: FUTEX_PRIVATE_FLAG; FUTEX_WAIT, FUTEX_WAKE, and these two with a set of bits */
#define OF_THIS_PROCESS 128
#define FUTEX_COMMAND 127
#define WAIT_FOR_WAKE 0
#define WAKE 1
#define WAIT_FOR_WAKE_BITS 9
#define WAKE_BITS 10

#define EVENT_IS_AWAITED 0xffffffffu /* what the word of an event of QEMU holds meanwhile: qemu/util/event.c, EV_BUSY */

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

/*
 * The mode counts only where a file is made.
 *
 * Who reads with O_DIRECT has the lock of that file for as long as the disk takes for all that one call asks for, 2 GiB, and with him all who
 * do the same: one who unlinks, replaces or changes the file waits for that, with the lock of its directory, and all who look for a name there.
 */
static void check_open(int number, unsigned flags, int may_set_id)
{
	step(IF_EQUAL, (uint32_t)number, 0, may_set_id ? 4 : 9);
	step(LOAD, ARGUMENT(flags), 0, 0);
	step(IF_ANY_BIT, O_DIRECT, 0, 1);
	step(RETURN, REFUSE(EINVAL), 0, 0);
	if (may_set_id) {
		step(RETURN, ALLOW, 0, 0);
		return;
	}
	step(IF_ANY_BIT, O_CREAT | TMPFILE_BIT, 1, 0);
	step(RETURN, ALLOW, 0, 0);
	step(LOAD, ARGUMENT(flags + 1), 0, 0);
	step(IF_ANY_BIT, S_ISUID | S_ISGID, 0, 1);
	step(RETURN, REFUSE(EPERM), 0, 0);
	step(RETURN, ALLOW, 0, 0);
}

void check_opens(int may_set_id)
{
#ifdef __x86_64__
	check_open(SYS_open, 1, may_set_id);
#endif
	check_open(SYS_openat, 2, may_set_id);
	answer_call(437 /* openat2: its flags and mode are behind a pointer */, REFUSE(ENOSYS));
}

/* A directory has its lock for all of one call: of those with millions of names for seconds, and hundreds of threads as many times that. C libraries ask for 1 MiB at most. */
#define NAMES_MOST (1u << 20)
void check_lists(void)
{
#ifdef __x86_64__
	check_argument(SYS_getdents, 2, IF_ABOVE, NAMES_MOST, EINVAL);
#endif
	check_argument(SYS_getdents64, 2, IF_ABOVE, NAMES_MOST, EINVAL);
}

/* `set_group`: what a set-gid bit answers. A directory may have it, and only the listener can tell what a name stands for. */
void check_modes(uint32_t set_group)
{
#ifdef __x86_64__
	check_mode(SYS_chmod, 1, set_group);
	check_mode(SYS_mkdir, 1, ALLOW); /* the kernel takes no set-gid bit from mkdir */
	check_mode(SYS_mknod, 1, REFUSE(EPERM));
	check_mode(SYS_creat, 1, REFUSE(EPERM));
#endif
	check_mode(SYS_fchmod, 1, set_group);
	check_mode(SYS_fchmodat, 2, set_group);
	check_mode(452 /* fchmodat2 */, 2, set_group);
	check_mode(SYS_mkdirat, 2, ALLOW);
	check_mode(SYS_mknodat, 2, REFUSE(EPERM));
}

/*
 * No VMM makes a socket that could be pointed elsewhere: it has those that it was given. UML's management console wants a
 * datagram socket; the listener gives it one end of a pair. Of pairs those alone are let through that can send to nobody
 * else: datagrams could go to any name, and SOCK_RAW is another word for them.
 */
void check_sockets(enum filter_kind kind)
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
}

/*
 * A name without a file is one of the socket's network namespace, and that of a line or console is the host's: who wants that name
 * there would not get it. UML's management console names its socket, which needs none: it is told that it has.
 */
void check_names(enum filter_kind kind)
{
	answer_call(SYS_bind, REFUSE(kind == FILTER_UML ? 0 : EPERM));
}

void check_argument(int number, unsigned argument, uint16_t test, uint32_t value, int error)
{
	step(IF_EQUAL, (uint32_t)number, 0, 4);
	step(LOAD, ARGUMENT(argument), 0, 0);
	step(test, value, 0, 1);
	step(RETURN, REFUSE(error), 0, 0);
	step(RETURN, ALLOW, 0, 0);
}

/*
 * Urgent data on a socket of this machine: little used, and a way into kernels from Linux 6.9 to 6.15 (CVE-2025-38236). Where none is sent
 * none is received.
 *
 * What a tool says the daemon itself reads, and would let go of descriptors that come along: the last who does frees what they stand for. No tool
 * sends messages.
 */
void check_messages(enum filter_kind kind)
{
	if (kind == FILTER_TOOL) {
		answer_call(SYS_sendmsg, REFUSE(EPERM));
		answer_call(SYS_sendmmsg, REFUSE(EPERM));
	}
	check_argument(SYS_sendto, 3, IF_ANY_BIT, MSG_OOB, EOPNOTSUPP);
	check_argument(SYS_sendmsg, 2, IF_ANY_BIT, MSG_OOB, EOPNOTSUPP);
	check_argument(SYS_sendmmsg, 3, IF_ANY_BIT, MSG_OOB, EOPNOTSUPP);
}

/* Huge pages are few, reserved for the kernels that own them, and in no memory group. */
void check_huge_pages(void)
{
	check_argument(SYS_mmap, 3, IF_ANY_BIT, MAP_HUGE, EPERM);
	check_argument(SYS_memfd_create, 1, IF_ANY_BIT, MEMFD_HUGE, EPERM);
}

/*
 * Who can read a file can wait at a lock that programs of the host have in it: these are not woken then, for he is, and he can have them
 * wait elsewhere, for good. A VMM has its locks in memory of its own, and says so. QEMU's events do not, but no lock holds what they do; nor do
 * threads that are waited for, which end at once: who may not wait looks again.
 */
void check_futexes(enum filter_kind kind)
{
	step(IF_EQUAL, SYS_futex, 0, 13);
	step(LOAD, ARGUMENT(1), 0, 0);
	step(IF_ANY_BIT, OF_THIS_PROCESS, 10, 0);
	step(AND, FUTEX_COMMAND, 0, 0);
	step(IF_EQUAL, WAKE, 8, 0);
	step(IF_EQUAL, WAKE_BITS, 7, 0);
	step(IF_EQUAL, WAIT_FOR_WAKE, 2, 0);
	step(IF_EQUAL, WAIT_FOR_WAKE_BITS, 4, 0);
	step(RETURN, REFUSE(ENOSYS), 0, 0);
	step(LOAD, ARGUMENT(2), 0, 0);
	step(IF_EQUAL, EVENT_IS_AWAITED, 0, 1);
	step(RETURN, kind == FILTER_QEMU ? ALLOW : REFUSE(EAGAIN), 0, 0);
	step(RETURN, REFUSE(EAGAIN), 0, 0);
	step(RETURN, ALLOW, 0, 0);
	answer_call(449 /* futex_waitv */, REFUSE(ENOSYS));
	answer_call(455 /* futex_wait */, REFUSE(ENOSYS));
	answer_call(456 /* futex_requeue */, REFUSE(ENOSYS));
}

/*
 * Whoever touches shared memory waits while another one makes a hole in it, and cannot be killed meanwhile: the daemon, and
 * the peer of a channel. And where the host merges equal pages, a write that takes longer tells what is in others' memory,
 * and each page costs 64 bytes that no control group counts, while of the merged ones it counts but one. To collapse pages all
 * CPUs are interrupted, those of others too.
 *
 * What is in memory of a file is there for all who read it: nobody has it put away, by advice that QEMU gives of its disks before it goes on and hears that it was taken.
 */
void check_memory(void)
{
	answer_call(SYS_fadvise64, REFUSE(0));
	check_argument(SYS_fallocate, 1, IF_ANY_BIT, CHANGE_WITHIN, EOPNOTSUPP);
	step(IF_EQUAL, SYS_madvise, 0, 7);
	step(LOAD, ARGUMENT(2), 0, 0);
	step(IF_EQUAL, REMOVE_MEMORY, 3, 0);
	step(IF_EQUAL, PAGE_OUT, 2, 0);
	step(IF_EQUAL, COLLAPSE_MEMORY, 1, 0);
	step(IF_EQUAL, MERGE_MEMORY, 0, 1);
	step(RETURN, REFUSE(EPERM), 0, 0);
	step(RETURN, ALLOW, 0, 0);
}

/* One for notifications has pages that no control group counts, and no limit of pipes if there is one of them. */
void check_pipes(void)
{
	check_argument(SYS_pipe2, 1, IF_ANY_BIT, NOTIFICATION_PIPE, EPERM);
}

/*
 * Who waits for descriptors costs the host's kernel up to 144 bytes for each, the same one named often included, that no
 * control group counts: with 65,536 in each of some hundred threads gigabytes. QEMU waits for all of its own in one thread.
 */
void check_waits(enum filter_kind kind)
{
	uint32_t most = kind == FILTER_QEMU ? 1024 : 256;

#ifdef __x86_64__
	check_argument(SYS_poll, 1, IF_ABOVE, most, EPERM);
	check_argument(SYS_select, 0, IF_ABOVE, most, EPERM);
#endif
	check_argument(SYS_ppoll, 1, IF_ABOVE, most, EPERM);
	check_argument(SYS_pselect6, 0, IF_ABOVE, most, EPERM);
}

/*
 * A lock or a lease on a file of the host makes its programs wait; O_DIRECT is one as well (check_open()). And each byte that is locked costs the host's kernel
 * memory that no control group counts and no limit bounds.
 */
void check_locks(void)
{
	static const uint32_t commands[] = {
		SET_LOCK, SET_LOCK_WAIT, SET_OPEN_FILE_LOCK, SET_OPEN_FILE_LOCK_WAIT, SET_LEASE, NOTIFY_DIRECTORY,
	};
	uint8_t count = sizeof commands / sizeof *commands;

	step(IF_EQUAL, SYS_fcntl, 0, (uint8_t)(count + 8));
	step(LOAD, ARGUMENT(1), 0, 0);
	step(IF_EQUAL, F_SETFL, 0, 3);
	step(LOAD, ARGUMENT(2), 0, 0);
	step(IF_ANY_BIT, O_DIRECT, (uint8_t)(count + 3), 0);
	step(RETURN, ALLOW, 0, 0);
	step(IF_ABOVE, NEWEST_FILE_COMMAND, (uint8_t)(count + 1), 0);
	for (uint8_t i = 0; i < count; i++)
		step(IF_EQUAL, commands[i], (uint8_t)(count - i), 0);
	step(RETURN, ALLOW, 0, 0);
	step(RETURN, REFUSE(EPERM), 0, 0);
}

/*
 * A system call filter can have the host's kernel write a record of each call (SECCOMP_RET_LOG), of which there is no bound: they take a CPU of it,
 * displace its own messages, fill the disk where a program collects them, and a host that may lose none stops. And its machine code, of up to
 * 32,768 steps in each process, takes from the same fixed amount as that of sockets (denied.c). QEMU makes one for its sandbox before
 * it hears anything of its guest; without one it asks what filters there can be.
 *
 * Names of memory are in no control group; of merging, see check_memory(). Who shares a core with nobody has its other hyper-thread
 * idle while he runs, and the first who asks for that changes how all CPUs of the host choose what to run.
 */
void check_filters(enum filter_kind kind)
{
	if (kind == FILTER_QEMU) {
		step(IF_EQUAL, SYS_seccomp, 0, 8);
		step(LOAD, ARGUMENT(0), 0, 0);
		step(IF_EQUAL, MAKE_FILTER, 0, 4);
		step(LOAD, ARGUMENT(2), 0, 0);
		step(IF_EQUAL, 0, 0, 3);
		step(LOAD, ARGUMENT(2) + 4, 0, 0);
		step(IF_EQUAL, 0, 0, 1);
		step(RETURN, ALLOW, 0, 0);
		ask_to_pass();
	} else {
		answer_call(SYS_seccomp, REFUSE(EPERM));
	}
	step(IF_EQUAL, SYS_prctl, 0, 7);
	step(LOAD, ARGUMENT(0), 0, 0);
	step(IF_ABOVE, NEWEST_OPTION, 4, 0);
	step(IF_EQUAL, SHARE_CORES, 3, 0);
	step(IF_EQUAL, MERGE_ALL_MEMORY, 2, 0);
	step(IF_EQUAL, SET_FILTER, 1, 0);
	step(RETURN, ALLOW, 0, 0);
	step(RETURN, REFUSE(EPERM), 0, 0);
}

/*
 * That of core dumps is 1, which alone keeps one from a program of the host (core(5)); 0 does not. That of open files is small
 * for User Mode Linux until it makes no more processes with descriptors of their own (init.c).
 */
void check_limits(enum filter_kind kind, int may_fork)
{
	uint32_t other = kind == FILTER_UML && !may_fork ? FILE_LIMIT : CORE_LIMIT;

	step(IF_EQUAL, SYS_setrlimit, 0, 5);
	step(LOAD, ARGUMENT(0), 0, 0);
	step(IF_EQUAL, CORE_LIMIT, 2, 0);
	step(IF_EQUAL, other, 1, 0);
	step(RETURN, ALLOW, 0, 0);
	step(RETURN, REFUSE(EPERM), 0, 0);
	/* A null pointer asks for it and changes nothing. */
	step(IF_EQUAL, SYS_prlimit64, 0, 10);
	step(LOAD, ARGUMENT(1), 0, 0);
	step(IF_EQUAL, CORE_LIMIT, 2, 0);
	step(IF_EQUAL, other, 1, 0);
	step(RETURN, ALLOW, 0, 0);
	step(LOAD, ARGUMENT(2), 0, 0);
	step(IF_EQUAL, 0, 0, 2);
	step(LOAD, ARGUMENT(2) + 4, 0, 0);
	step(IF_EQUAL, 0, 1, 0);
	step(RETURN, REFUSE(EPERM), 0, 0);
	step(RETURN, ALLOW, 0, 0);
}

/*
 * Who puts an epoll into another has a lock of all of the host, and waits there for that of the one that is put: hundreds of threads of
 * one CPU pass it to each other, and a program of the host that does the same gets it when they rest. User Mode Linux has one, for
 * which there is no other; QEMU puts something into those that it makes from 64 descriptors on, and goes on with poll where it may not.
 */
void check_epolls(enum filter_kind kind)
{
	if (kind != FILTER_UML) {
		answer_call(SYS_epoll_ctl, REFUSE(EPERM));
		return;
	}
	ask_for(SYS_epoll_create1);
#ifdef __x86_64__
	ask_for(SYS_epoll_create);
#endif
}

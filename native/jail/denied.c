/* What a VMM may not do at all: the calls and the requests to devices that no VMM needs. */
#include "denied.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/utsname.h>

#include "../common/fail.h"
#include "bpf.h"

#define CREATE_CPU 0xae41 /* linux/kvm.h: KVM_CREATE_VCPU */

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
	/*
	 * rules of its own (landlock_*): the host's kernel can be asked to write a record each time that one of them refuses something. pk-jail
	 * has made those that count
	 */
	444, 445, 446,
	/* keys */
	SYS_add_key, SYS_request_key, SYS_keyctl,
	/* other processes and files out of sight */
	SYS_name_to_handle_at, SYS_open_by_handle_at, SYS_process_vm_readv, SYS_process_vm_writev, SYS_kcmp,
	434 /* pidfd_open */, 438 /* pidfd_getfd */, 440 /* process_madvise */, 448 /* process_mrelease */,
	/* where it runs and where its memory comes from: that was decided before it started */
	SYS_sched_setaffinity, SYS_set_mempolicy, SYS_migrate_pages, SYS_move_pages, 450 /* set_mempolicy_home_node */,
	/* a thread that gives all others the CPU keeps what it has locked in the host's kernel, and whoever waits for that */
	SYS_sched_setscheduler, SYS_sched_setparam, SYS_sched_setattr, SYS_setpriority, SYS_ioprio_set,
	/* other sockets */
	SYS_connect,
	/*
	 * of those that it was given: rings of packets are memory that no control group counts, machine code of filters is of what the
	 * host has a fixed amount, and each change of whether packets get a time interrupts all CPUs of the host
	 */
	SYS_setsockopt,
	/*
	 * what those who take over a host's kernel by a fault of it fill its memory with, and its pipes: messages, semaphores and memory
	 * of System V, pages of a process in a pipe, and the same page in two of them
	 */
	SYS_msgget, SYS_semget, SYS_shmget, SYS_vmsplice, SYS_tee,
	/*
	 * pages of the host's files in pipes and sockets stay in memory, and count for whoever read them first: 0.5 MiB in each pair of
	 * sockets, where a page of a large folio keeps all of that; and in the pipe that copies between files go through, for as long as
	 * the one that is written to is locked. XFS and btrfs share what is copied so, and lock the file that is only read
	 */
	SYS_splice, SYS_sendfile, SYS_copy_file_range,
	/* each session has a group of its own of the host's scheduler (autogroup), 1 KiB and more for each CPU that no control group counts */
	SYS_setsid,
	/* all that anybody has not written yet */
	SYS_sync, SYS_syncfs,
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
	/* of any file system by its number, memory files of other kernels too: how full it is */
	SYS_ustat,
#endif
};

/*
 * What would change the device behind a network card's descriptor, or reach what lies behind it (linux/if_tun.h), what has the host load
 * a line discipline, and what types into a terminal or takes the console's output (asm/ioctls.h). Of KVM (linux/kvm.h) what QEMU as it is
 * started asks for never: machines within machines, and those of Xen and Hyper-V, are much of that in which faults of KVM were found; memory that is encrypted takes
 * keys of which the host has few, and has all of its CPUs write out what they hold.
 */
static const uint32_t denied_requests[] = {
	0x400454ca /* TUNSETIFF */, 0x400454da /* TUNSETIFINDEX */, 0x400454cb /* TUNSETPERSIST */, 0x400454cc /* TUNSETOWNER */,
	0x400454ce /* TUNSETGROUP */, 0x400454cd /* TUNSETLINK */, 0x400454c9 /* TUNSETDEBUG */, 0x400454d9 /* TUNSETQUEUE */,
	0x400454d1 /* TUNSETTXFILTER */, 0x401054d5 /* TUNATTACHFILTER */, 0x401054d6 /* TUNDETACHFILTER */,
	0x800454e0 /* TUNSETSTEERINGEBPF */, 0x800454e1 /* TUNSETFILTEREBPF */, 0x400454e2 /* TUNSETCARRIER */,
	0x54e3 /* TUNGETDEVNETNS */, 0x5412 /* TIOCSTI */, 0x541c /* TIOCLINUX */, 0x541d /* TIOCCONS */, 0x5423 /* TIOCSETD */,
	0xc080aebe /* KVM_GET_NESTED_STATE */, 0x4080aebf /* KVM_SET_NESTED_STATE */,
	0x4038ae7a /* KVM_XEN_HVM_CONFIG */, 0xc048aec8 /* KVM_XEN_HVM_GET_ATTR */, 0x4048aec9 /* KVM_XEN_HVM_SET_ATTR */,
	0xc048aeca /* KVM_XEN_VCPU_GET_ATTR */, 0x4048aecb /* KVM_XEN_VCPU_SET_ATTR */, 0x400caed0 /* KVM_XEN_HVM_EVTCHN_SEND */,
	0x4018aebd /* KVM_HYPERV_EVENTFD */,
	0xc008aeba /* KVM_MEMORY_ENCRYPT_OP */, 0x8010aebb /* KVM_MEMORY_ENCRYPT_REG_REGION */,
	0x8010aebc /* KVM_MEMORY_ENCRYPT_UNREG_REGION */, 0x4020aed2 /* KVM_SET_MEMORY_ATTRIBUTES */,
	0xc040aed4 /* KVM_CREATE_GUEST_MEMFD */, 0xc040aed5 /* KVM_PRE_FAULT_MEMORY */,
};

void deny_calls(void)
{
	for (size_t i = 0; i < sizeof denied / sizeof *denied; i++)
		answer_call(denied[i], REFUSE(EPERM));
}

/* Before Linux 5.5 the listener cannot say: let it pass. */
static int may_ask_to_pass(void)
{
	struct utsname host;
	unsigned major, minor;

	return uname(&host) == 0 && sscanf(host.release, "%u.%u", &major, &minor) == 2 && (major > 5 || (major == 5 && minor >= 5));
}

/*
 * Each machine of KVM can have a thread of the host's kernel, which counts for nobody: neither as a process of the jail nor
 * its stack as memory of it. QEMU makes one; the listener counts them. Of other kinds than the plain one (SEV, TDX) the host has few.
 */
#define ANSWER_MACHINE_STEPS 4
static void answer_machine(enum filter_kind kind)
{
	step(LOAD, ARGUMENT(2), 0, 0);
	step(IF_EQUAL, 0, 1, 0);
	step(RETURN, REFUSE(EPERM), 0, 0);
	if (kind == FILTER_QEMU)
		ask_to_pass();
	else
		step(RETURN, REFUSE(EPERM), 0, 0);
}

/* Where it is asked, in the filter. */
static uint16_t asking[8];
static size_t asking_count;

void ask_to_pass(void)
{
	if (may_ask_to_pass()) {
		if (asking_count == sizeof asking / sizeof *asking) {
			errno = 0;
			fail("too many questions of the system call filter");
		}
		asking[asking_count++] = length;
	}
	step(RETURN, may_ask_to_pass() ? ASK : ALLOW, 0, 0);
}

/*
 * The types of requests that pass: of terminals and taps, and what every descriptor has (asm/ioctls.h, linux/if_tun.h); of KVM and VFIO (linux/kvm.h, linux/vfio.h); for
 * the first process those of the listener (linux/seccomp.h). No VMM makes another, but for QEMU's 9p server, which asks ext4 and others for a file's generation.
 *
 * All others are calls by another name, that each file system and driver of the host has more of, and that come to programs of the host where these serve files (FUSE).
 * Of sockets: those of line and console were made in the host's network namespace, and tell of its interfaces, make all wait who change one, and have the host load drivers. Of
 * btrfs and bcachefs: snapshots make of a read-only tree a writable one, with its set-uid programs and with what is covered in it, and before Linux 6.15 bcachefs removes trees
 * for anybody. Of XFS, which every file system has by now: holes in files and memory; of ext4: all wait that is to be written there.
 */
#define TYPE_OF_REQUEST 0xff00
#define OF_TERMINALS 0x5400
#define OF_KVM 0xae00
#define OF_VFIO 0x3b00
#define OF_LISTENER 0x2100
#define GENERATION 0x80087601 /* linux/fs.h: FS_IOC_GETVERSION */

void ask_for(int number)
{
	step(IF_EQUAL, (uint32_t)number, 0, 1);
	ask_to_pass();
}

/*
 * Of a tap (linux/if_tun.h, the low halves of 200 and up): each has the lock of all who change an interface of the host while it reads or writes its argument, for which the
 * VMM's own memory has it wait as long as that is being changed. That of what the host may leave uncut has no argument in memory, but it sleeps with
 * the lock where it changes something: hundreds of threads of one CPU that ask for it pass the lock to each other. QEMU makes a dozen each time that a driver of its
 * guest takes the card; the listener counts them.
 */
#define FIRST_OF_TAPS 0x54c8
#define LAST_OF_TAPS 0x54ff
#define TAP_STEPS 4
static void answer_tap(void)
{
	step(AND, 0xffff, 0, 0);
	step(IF_AT_LEAST, FIRST_OF_TAPS, 0, 2);
	step(IF_ABOVE, LAST_OF_TAPS, 1, 0);
	ask_to_pass();
}

/*
 * `machine_cpus`: each CPU of a machine of KVM can have a ring of 1 MiB of what it writes to, which no control group counts. Their numbers are
 * those from 0 on.
 */
void check_requests(enum filter_kind kind, unsigned machine_cpus)
{
	static const uint32_t types_of[][3] = {
		[FILTER_UML] = {OF_TERMINALS}, [FILTER_QEMU] = {OF_TERMINALS, OF_KVM, OF_VFIO}, [FILTER_TOOL] = {OF_TERMINALS}, [FILTER_INIT] = {OF_TERMINALS, OF_LISTENER},
	};
	const uint32_t *types = types_of[kind];
	uint8_t count = sizeof denied_requests / sizeof *denied_requests, type_count = 0, of_qemu = kind == FILTER_QEMU ? 1 + TAP_STEPS : 0;

	while (type_count < 3 && types[type_count] != 0)
		type_count++;
	step(IF_EQUAL, SYS_ioctl, 0, (uint8_t)(count + of_qemu + type_count + ANSWER_MACHINE_STEPS + 10));
	step(LOAD, ARGUMENT(1), 0, 0);
	step(IF_EQUAL, CREATE_MACHINE, 0, ANSWER_MACHINE_STEPS);
	answer_machine(kind);
	step(IF_EQUAL, CREATE_CPU, 0, 4);
	step(LOAD, ARGUMENT(2), 0, 0);
	step(IF_AT_LEAST, machine_cpus, 0, 1);
	step(RETURN, REFUSE(EPERM), 0, 0);
	step(RETURN, ALLOW, 0, 0);
	for (uint8_t i = 0; i < count; i++)
		step(IF_EQUAL, denied_requests[i], (uint8_t)(count - i + of_qemu + type_count), 0);
	if (of_qemu > 0) {
		step(IF_EQUAL, GENERATION, (uint8_t)(TAP_STEPS + type_count + 2), 0);
		answer_tap();
	}
	step(AND, TYPE_OF_REQUEST, 0, 0);
	for (uint8_t i = 0; i < type_count; i++)
		step(IF_EQUAL, types[i], (uint8_t)(type_count - i), 0);
	step(RETURN, REFUSE(EPERM), 0, 0);
	step(RETURN, ALLOW, 0, 0);
}

void let_pass(void)
{
	for (size_t i = 0; i < asking_count; i++)
		steps[asking[i]].value = ALLOW;
}

/*
 * The system call filters of a jail: of the VMM, and of the jail's first process, which serves it (init.c).
 *
 * Modes are looked at because a VMM's volumes are written with real owners: a set-uid bit would make a guest's file the
 * host's program.
 */
#include "filter.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../common/fail.h"
#include "bpf.h"
#include "checks.h"
#include "denied.h"

#define SECCOMP_MODE_FILTER_CALL 1
#define FLAG_SPEC_ALLOW 4 /* no speculation penalty for the filtered process */
#define FLAG_NEW_LISTENER 8

/*
 * The last call that was looked at: mseal of Linux 6.10. What is newer answers as an older kernel would; so do the numbers below the
 * first that all machines share, of which x86 has had some since, but for two that the kernel lets pass any filter (uretprobe, uprobe).
 */
#define NEWEST_CALL 462
#define FIRST_SHARED_CALL 424 /* pidfd_send_signal */
#if defined __x86_64__
#define LAST_OWN_CALL 334 /* rseq */
#else
#define LAST_OWN_CALL 294 /* kexec_file_load */
#endif

/*
 * Filters this process and all it starts. `may` is what it lets pass: modes as they are, huge pages, forks, CPUs of a machine. Returns the descriptor of a listener for
 * a VMM, or -1 where this kernel has none: what it would be asked is refused then.
 */
int install_filter(enum filter_kind kind, struct may may)
{
	int listens = kind == FILTER_UML || kind == FILTER_QEMU, result;
	struct filter_program program;

	length = 0;
	/* As where the host's kernel has no such calls. To kill who makes one would have it write a record each time, of which it has no bound. */
	step(LOAD, OFFSET_ARCH, 0, 0);
	step(IF_EQUAL, ARCH, 1, 0);
	step(RETURN, REFUSE(ENOSYS), 0, 0);
	step(LOAD, OFFSET_NUMBER, 0, 0);
	step(IF_ABOVE, NEWEST_CALL, 2, 0); /* x32 has every call under a second number, from 2^30 on */
	step(IF_AT_LEAST, FIRST_SHARED_CALL, 2, 0);
	step(IF_ABOVE, LAST_OWN_CALL, 0, 1);
	step(RETURN, REFUSE(ENOSYS), 0, 0);
	/* First, for UML maps memory all the time, and QEMU's threads wake each other. */
	if (!may.huge_pages)
		check_huge_pages();
	if (listens)
		check_futexes(kind);
	deny_calls();
	if (kind == FILTER_UML)
		check_tracing();
	else
		answer_call(SYS_ptrace, REFUSE(EPERM));
	/*
	 * The policy of each page of shared memory is kept when it is no longer mapped, without bound, and in no control group.
	 * pk-jail has bound all memory already; QEMU asks all the same, and takes no for an answer where a kernel has no nodes.
	 */
	answer_call(SYS_mbind, REFUSE(ENOSYS));
	/* Its flags are behind a pointer; C libraries fall back to clone. */
	answer_call(435 /* clone3 */, REFUSE(ENOSYS));
	check_clone(kind, may.fork);
	if (listens && !may.fork)
		check_tables(kind);
	check_epolls(kind);
	check_sockets(kind);
	check_names(kind);
	check_messages(kind);
	check_filters(kind);
	check_locks();
	check_memory();
	check_waits(kind);
	check_pipes();
	check_limits(kind, may.fork);
	check_requests(kind, may.cpus);
	check_opens(may.set_id);
	check_lists();
	if (!may.set_id)
		check_modes(listens ? ASK : kind == FILTER_INIT ? ALLOW : REFUSE(EPERM));
	step(RETURN, ALLOW, 0, 0);
	program = (struct filter_program){length, steps};
	if (listens) {
		result = (int)syscall(SYS_seccomp, SECCOMP_MODE_FILTER_CALL, FLAG_SPEC_ALLOW | FLAG_NEW_LISTENER, &program);
		if (result >= 0)
			return result;
		/* Before 5.0, or in a jail in a jail: nobody answers, and such calls say ENOSYS. */
		let_pass();
	}
	/* Kernels before 4.17 do not know the flag. */
	if (syscall(SYS_seccomp, SECCOMP_MODE_FILTER_CALL, FLAG_SPEC_ALLOW, &program) != 0 &&
	    syscall(SYS_seccomp, SECCOMP_MODE_FILTER_CALL, 0, &program) != 0)
		fail("seccomp");
	return -1;
}

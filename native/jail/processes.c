/* Processes that a VMM may make, what these may have of their own, and how one may trace another. */
#include "checks.h"

#include <errno.h>
#include <sys/syscall.h>

#include "bpf.h"
#include "denied.h"
#include "filter.h"

/* linux/sched.h: CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET; CLONE_FILES, CLONE_THREAD; linux/close_range.h */
#define NAMESPACE_FLAGS 0x7e020000u
#define SHARE_FILES 0x400
#define SHARE_PROCESS 0x10000
#define UNSHARE_FILES 2

/* linux/ptrace.h: PTRACE_SETOPTIONS, its number of old, PTRACE_SEIZE; of the options PTRACE_O_TRACESYSGOOD and PTRACE_O_EXITKILL */
#define SET_TRACING 0x4200
#define SET_TRACING_OLD 21
#define SEIZE 0x4206
#define HARMLESS_TRACING (1u | 1u << 20)

/*
 * No namespaces. And what the host's kernel keeps of an open directory, up to 22 KB on ext4, no control group counts: each process that
 * has descriptors of its own could have as many. QEMU makes threads alone; the processes of User Mode Linux share its
 * descriptors but for a few that it makes to look at the host (Linux before 6.13). A thread has none of its own: its limit is that of its
 * process, which is raised (calls.c).
 */
void check_clone(enum filter_kind kind, int may_fork)
{
	int uml = kind == FILTER_UML && !may_fork, qemu = kind == FILTER_QEMU && !may_fork;

	step(IF_EQUAL, SYS_clone, 0, (uint8_t)(uml ? 8 : qemu ? 7 : 4));
	step(LOAD, ARGUMENT(0), 0, 0);
	step(IF_ANY_BIT, NAMESPACE_FLAGS, 0, 1);
	step(RETURN, REFUSE(EPERM), 0, 0);
	if (uml) {
		step(IF_ANY_BIT, SHARE_FILES, 3, 0);
		step(IF_ANY_BIT, SHARE_PROCESS, 0, 1);
		step(RETURN, REFUSE(EPERM), 0, 0);
		ask_to_pass();
	} else if (qemu) {
		step(IF_ANY_BIT, SHARE_FILES, 0, 1);
		step(IF_ANY_BIT, SHARE_PROCESS, 1, 0);
		step(RETURN, REFUSE(EPERM), 0, 0);
	}
	step(RETURN, ALLOW, 0, 0);
}

/* Other ways to descriptors of one's own. A program that is run gets some where they were shared; QEMU shares them among threads, which end then. */
void check_tables(enum filter_kind kind)
{
	check_argument(436 /* close_range */, 2, IF_ANY_BIT, UNSHARE_FILES, EPERM);
	if (kind == FILTER_UML) {
		ask_for(SYS_execve);
		ask_for(SYS_execveat);
	}
#ifdef __x86_64__
	if (kind == FILTER_UML) {
		ask_for(SYS_fork);
		ask_for(SYS_vfork);
	} else {
		answer_call(SYS_fork, REFUSE(EPERM));
		answer_call(SYS_vfork, REFUSE(EPERM));
	}
#endif
}

/*
 * Who is traced with PTRACE_O_TRACEEXIT stops once more when it is killed, until its tracer goes on: two that trace each other
 * wait for ever, no signal ends them, and the first process of the jail waits for them. User Mode Linux wants to be told
 * of system calls alone.
 */
void check_tracing(void)
{
	step(IF_EQUAL, SYS_ptrace, 0, 8);
	step(LOAD, ARGUMENT(0), 0, 0);
	step(IF_EQUAL, SET_TRACING, 2, 0);
	step(IF_EQUAL, SET_TRACING_OLD, 1, 0);
	step(IF_EQUAL, SEIZE, 0, 3);
	step(LOAD, ARGUMENT(3), 0, 0);
	step(IF_ANY_BIT, ~HARMLESS_TRACING, 0, 1);
	step(RETURN, REFUSE(EPERM), 0, 0);
	step(RETURN, ALLOW, 0, 0);
}

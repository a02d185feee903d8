/*
 * Runs one() over inputs from standard input, each behind its length. The file named by the argument holds the present input,
 * length first, for whoever finds out that it was the last. Built with ASan and UBSan: see native.ts.
 *
 * The programs act on the machine that they run on, some as root. Here they cannot: a filter lets them read files and use
 * what is open, and refuses everything else with EPERM, of which they must make the best.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#define LONGEST (1u << 20)
/* Own CPU time of one input, by which it hangs: they take microseconds. */
#define MOST_SECONDS 5

static jmp_buf left;

/* What the program's exit() becomes: it refused, and that is well. */
static _Noreturn void leave(int status)
{
	(void)status;
	longjmp(left, 1);
}

static void must(int condition, const char *property)
{
	if (condition)
		return;
	fprintf(stderr, "property violated: %s\n", property);
	abort();
}

static void one(const uint8_t *data, size_t size);

#define ALLOW(number) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
/* Allows a call whose argument `index`, masked, is `value`. */
#define ALLOW_WITH(number, index, mask, value) \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 5), \
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[index])), \
	BPF_STMT(BPF_ALU | BPF_AND | BPF_K, mask), \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1), \
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW), \
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))

static void confine(void)
{
	struct sock_filter steps[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		ALLOW(SYS_read), ALLOW(SYS_write), ALLOW(SYS_close), ALLOW(SYS_lseek), ALLOW(SYS_fcntl), ALLOW(SYS_ppoll),
		ALLOW(SYS_mmap), ALLOW(SYS_munmap), ALLOW(SYS_mprotect), ALLOW(SYS_madvise), ALLOW(SYS_mremap), ALLOW(SYS_brk),
		ALLOW(SYS_rt_sigaction), ALLOW(SYS_rt_sigprocmask), ALLOW(SYS_rt_sigreturn), ALLOW(SYS_sigaltstack),
		ALLOW(SYS_exit), ALLOW(SYS_exit_group), ALLOW(SYS_futex), ALLOW(SYS_getpid), ALLOW(SYS_gettid), ALLOW(SYS_sched_yield),
		ALLOW(SYS_pipe2), ALLOW(SYS_socketpair), ALLOW(SYS_sendto), ALLOW(SYS_recvfrom), ALLOW(SYS_sendmsg),
		ALLOW(SYS_recvmsg), ALLOW(SYS_shutdown), ALLOW(SYS_getsockopt), ALLOW(SYS_setsockopt), ALLOW(SYS_setitimer),
		ALLOW(SYS_newfstatat), ALLOW(SYS_fstat), ALLOW(SYS_readlinkat), ALLOW(SYS_clock_gettime), ALLOW(SYS_uname),
		ALLOW(SYS_sched_getaffinity), ALLOW(SYS_prlimit64), ALLOW(SYS_getrandom), ALLOW(SYS_dup), ALLOW(SYS_pwrite64),
		ALLOW(SYS_ftruncate), ALLOW(SYS_memfd_create), ALLOW(SYS_epoll_create1), ALLOW(SYS_epoll_ctl),
#ifdef SYS_poll
		ALLOW(SYS_poll), ALLOW(SYS_stat), ALLOW(SYS_readlink),
#endif
		ALLOW_WITH(SYS_openat, 2, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY),
		ALLOW_WITH(SYS_ioctl, 1, 0xffffffffu, 0x541b /* FIONREAD */),
		ALLOW_WITH(SYS_tgkill, 0, 0xffffffffu, (uint32_t)getpid()), /* abort() */
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
	};
	struct sock_fprog program = { sizeof steps / sizeof *steps, steps };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
		perror("harness: the filter");
		_exit(2);
	}
}

int main(int argc, char **argv)
{
	const struct itimerval limit = { .it_value = { MOST_SECONDS, 0 } };
	int file = argc == 2 ? open(argv[1], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
	uint8_t *present = file < 0 || ftruncate(file, LONGEST + 4) != 0 ? MAP_FAILED
		: mmap(NULL, LONGEST + 4, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	static FILE *volatile input;
	static uint32_t length, count;

	if (present == MAP_FAILED) {
		perror("harness: the file for the present input");
		return 2;
	}
	input = stdin;
	signal(SIGPIPE, SIG_IGN);
	confine();
	while (fread(&length, sizeof length, 1, input) == 1 && length <= LONGEST) {
		/* A block of just this size, so that reading behind its end is seen. */
		uint8_t *volatile data = malloc(length + (length == 0));

		if (fread(data, 1, length, input) != length)
			return 2;
		memcpy(present, &length, 4);
		memcpy(present + 4, data, length);
		setitimer(ITIMER_PROF, &limit, NULL);
		if (setjmp(left) == 0)
			one(data, length);
		free(data);
		count++;
	}
	/* Whoever gave the inputs sees that all were taken. */
	printf("%u\n", count);
	return fflush(stdout) == 0 && feof(input) ? 0 : 2;
}

#define main program_main
#define exit leave

/*
 * pk-xstate.so is loaded into User Mode Linux before its own libraries. Kernels before 6.13 keep 2,696 bytes of a process's
 * floating-point state (XSAVE with AVX-512). On a processor whose state is larger (AMX) the host gives them that much, but
 * takes back nothing but a whole one, and no program of the guest could ever run. This adds what is missing: state that
 * such a guest's programs cannot use, since its kernel never asks for the right to.
 *
 * And hostfs would change the owner of what a symbolic link points to: the guest has followed all links that it wants to be
 * followed before it asks.
 */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* From linux/ptrace.h and linux/elf.h; Intel's manual, volume 1, 13.4: XSTATE_BV says which parts are not as at reset. */
#define PEEK_FIRST 1
#define PEEK_LAST 3
#define GET_REGISTERS 0x4204
#define SET_REGISTERS 0x4205
#define NT_XSTATE 0x202
#define XSTATE_BV 512
/* x87, SSE, AVX, MPX, AVX-512, PKRU: what lies within 2,696 bytes. */
#define SMALL_PARTS 0x2ffull
#define STATE_BYTES 65536

static unsigned char state[STATE_BYTES] __attribute__((aligned(64)));
/* Of the host's whole state; 0 = not asked yet. */
static size_t whole;

static long call(long request, long pid, void *address, void *data)
{
	return syscall(SYS_ptrace, request, pid, address, data);
}

/* The kernel says how much it has filled. */
static size_t whole_state(long pid)
{
	struct iovec all = {state, sizeof state};

	if (whole == 0 && call(GET_REGISTERS, pid, (void *)NT_XSTATE, &all) == 0)
		whole = all.iov_len;
	return whole;
}

static long set_state(long pid, struct iovec *given)
{
	struct iovec all = {state, whole_state(pid)};
	uint64_t parts;

	if (given->iov_len >= all.iov_len || given->iov_len < XSTATE_BV + sizeof parts)
		return call(SET_REGISTERS, pid, (void *)NT_XSTATE, given);
	memcpy(state, given->iov_base, given->iov_len);
	memset(state + given->iov_len, 0, all.iov_len - given->iov_len);
	memcpy(&parts, state + XSTATE_BV, sizeof parts);
	parts &= SMALL_PARTS;
	memcpy(state + XSTATE_BV, &parts, sizeof parts);
	return call(SET_REGISTERS, pid, (void *)NT_XSTATE, &all);
}

long ptrace(int request, int pid, void *address, void *data)
{
	long value;

	if (request >= PEEK_FIRST && request <= PEEK_LAST) {
		/* The system call puts the word where `data` says; the library's function returns it. */
		if (call(request, pid, address, &value) < 0)
			return -1;
		errno = 0;
		return value;
	}
	if (request == SET_REGISTERS && address == (void *)NT_XSTATE)
		return set_state(pid, data);
	return call(request, pid, address, data);
}

int chown(const char *path, uid_t uid, gid_t gid)
{
	return (int)syscall(SYS_lchown, path, uid, gid);
}

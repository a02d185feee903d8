/*
 * A bound on segments. Who writes to a tap may leave it to the host to cut a large frame into segments (GSO) and says how large
 * each is to be: of one byte each, a frame costs a thousand times what it should, in one piece, for which nobody else has that
 * CPU (90 ms). A program in the host's kernel drops such frames where they come in.
 */
#include "gso.h"

#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rtnetlink.h"

/* From linux/bpf.h, which musl lacks. */
#define BPF_LOAD 5
#define BPF_FOR_TRAFFIC 3
/* In struct __sk_buff, what such a program is given. */
#define LENGTH 0
#define SEGMENT_BYTES 176

#define MOST_SEGMENTS_LOG 10

struct bpf_step {
	uint8_t code, registers; /* destination | source << 4 */
	int16_t offset;
	int32_t number;
};

struct bpf_program {
	uint32_t type, steps;
	uint64_t first, license;
	uint32_t log_level, log_bytes;
	uint64_t log;
	uint32_t kernel_version, flags;
};

static const struct bpf_step at_most[] = {
	{0x61, 0x12, SEGMENT_BYTES, 0},     /* r2 = *(u32 *)(r1 + SEGMENT_BYTES) */
	{0x15, 0x02, 3, 0},                 /* 0: it is not to be cut */
	{0x67, 0x02, 0, MOST_SEGMENTS_LOG}, /* r2 <<= MOST_SEGMENTS_LOG */
	{0x61, 0x13, LENGTH, 0},            /* r3 = *(u32 *)(r1 + LENGTH) */
	{0xad, 0x32, 2, 0},                 /* r2 < r3: it would be more */
	{0xb7, 0x00, 0, -1},                /* goes on */
	{0x95, 0x00, 0, 0},
	{0xb7, 0x00, 0, 2}, /* is dropped */
	{0x95, 0x00, 0, 0},
};

/*
 * Frames that come in by this interface make at most 1,024 segments. Nothing happens where the host's kernel cannot do it (before
 * Linux 5.7), or leaves it to nobody but root.
 */
void gso_bound(int links, unsigned index)
{
	struct bpf_program program = {
		.type = BPF_FOR_TRAFFIC,
		.steps = sizeof at_most / sizeof *at_most,
		.first = (uint64_t)(uintptr_t)at_most,
		.license = (uint64_t)(uintptr_t) "MIT",
	};
	int fd = (int)syscall(SYS_bpf, BPF_LOAD, &program, sizeof program);

	if (fd < 0)
		return;
	rtnetlink_add_program(links, index, fd);
	close(fd);
}

/* The language of system call filters: linux/filter.h, linux/seccomp.h, linux/audit.h, which musl does not bring. */
#ifndef PK_JAIL_BPF_H
#define PK_JAIL_BPF_H

#include <stdint.h>

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
#define ASK 0x7fc00000u /* the listener: calls.c */
#define REFUSE(error) (0x00050000u | (error))
#define OFFSET_NUMBER 0
#define OFFSET_ARCH 4
#define ARGUMENT(index) (16u + 8 * (index)) /* its low half, on a little-endian machine */
#if defined __x86_64__
#define ARCH 0xc000003eu
#elif defined __aarch64__
#define ARCH 0xc00000b7u
#else
#error "no system call filter for this machine"
#endif

/* The filter that is being made. */
extern struct filter_step steps[768];
extern uint16_t length;

void step(uint16_t code, uint32_t value, uint8_t if_true, uint8_t if_false);
void answer_call(int number, uint32_t answer);

#endif

#include "bpf.h"

#include <errno.h>

#include "../common/fail.h"

/* The filter that is being made. */
struct filter_step steps[768];
uint16_t length;

void step(uint16_t code, uint32_t value, uint8_t if_true, uint8_t if_false)
{
	if (length == sizeof steps / sizeof *steps) {
		errno = 0;
		fail("the system call filter is too long");
	}
	steps[length++] = (struct filter_step){code, if_true, if_false, value};
}

void answer_call(int number, uint32_t answer)
{
	step(IF_EQUAL, (uint32_t)number, 0, 1);
	step(RETURN, answer, 0, 0);
}

#include "relays.h"

#include "../common/descriptor.h"
#include "buffer.h"

struct relay relays[RELAYS];

void pump_relay(struct relay *r)
{
	if (r->holder >= 0 && flush_to(&r->out, r->holder) < 0)
		close_fd(&r->holder);
	if (r->program >= 0 && r->holder >= 0 && is_empty(&r->out)) {
		if (fill(&r->out, r->program) < 0)
			close_fd(&r->program);
		if (flush_to(&r->out, r->holder) < 0)
			close_fd(&r->holder);
	}
	if (r->program < 0 && is_empty(&r->out))
		close_fd(&r->holder); /* its end of file */
	if (r->program >= 0 && flush_to(&r->in, r->program) < 0)
		discard(&r->in);
	if (r->holder >= 0 && is_empty(&r->in)) {
		if (fill(&r->in, r->holder) < 0)
			close_fd(&r->holder);
		if (r->program < 0 || flush_to(&r->in, r->program) < 0)
			discard(&r->in);
	}
	/* Nobody else will hold it. */
	if (r == &relays[PASSED] && r->holder < 0)
		close_fd(&r->program);
}

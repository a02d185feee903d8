/* The control line, the monitor and a connection of its own: streams between the program and who holds them. */
#ifndef PK_SHIM_RELAYS_H
#define PK_SHIM_RELAYS_H

#include "buffer.h"

/* One end of a socket pair with the program, and at most one client that holds it. */
struct relay {
	int program, holder;
	struct buffer out, in; /* program to holder, holder to program */
};

enum { CONTROL, MONITOR, PASSED, RELAYS };

extern struct relay relays[RELAYS];

void pump_relay(struct relay *r);

#endif

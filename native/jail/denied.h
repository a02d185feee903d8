#ifndef PK_JAIL_DENIED_H
#define PK_JAIL_DENIED_H

#include "filter.h"

void deny_calls(void);
void check_requests(enum filter_kind kind, unsigned machine_cpus);
/* Where nobody listens QEMU still wants its machine. */
void count_no_machines(void);

#endif

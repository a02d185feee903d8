#ifndef PK_JAIL_CHECKS_H
#define PK_JAIL_CHECKS_H

#include <stdint.h>

#include "filter.h"

/* Refuses a call for which the test of one argument is true: IF_EQUAL, IF_ABOVE, or IF_ANY_BIT of `value`. */
void check_argument(int number, unsigned argument, uint16_t test, uint32_t value, int error);

void check_opens(int may_set_id);
void check_lists(void);
void check_modes(uint32_t set_group);
void check_sockets(enum filter_kind kind);
void check_names(enum filter_kind kind);
void check_messages(enum filter_kind kind);
void check_huge_pages(void);
void check_futexes(enum filter_kind kind);
void check_locks(void);
void check_memory(void);
void check_waits(enum filter_kind kind);
void check_pipes(void);
void check_filters(enum filter_kind kind);
void check_limits(enum filter_kind kind, int may_fork);
void check_epolls(enum filter_kind kind);

/* processes.c */
void check_clone(enum filter_kind kind, int may_fork);
void check_tables(enum filter_kind kind);
void check_tracing(void);

#endif

#ifndef PK_JAIL_INIT_H
#define PK_JAIL_INIT_H

#include <sys/types.h>

#include "filter.h"
#include "place.h"

/* How pk-jail ends when the jail cannot be as it should. */
#define FAILED 125

void become_init(enum filter_kind kind, struct may may, mode_t mask, const struct place *place);

#endif

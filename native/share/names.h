#ifndef PK_SHARE_NAMES_H
#define PK_SHARE_NAMES_H

#include "call.h"

int read_link(const struct call *call);
int remove_name(const struct call *call, const char *name, int flags);
int rename_file(const struct call *call, uint64_t directory, unsigned flags, const char *from, const char *to);
int link_file(const struct call *call, uint64_t id, const char *name);

#endif

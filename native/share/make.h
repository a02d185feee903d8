#ifndef PK_SHARE_MAKE_H
#define PK_SHARE_MAKE_H

#include <sys/types.h>

#include "anchors.h"
#include "call.h"
#include "protocol.h"

int place_link(const char *target, const struct where *at, uid_t uid, gid_t gid, int replaces);
int make(const struct call *call, const char *name, mode_t mode, dev_t number, const char *target);
int create(const struct call *call, const struct create_in *in, const char *name);

#endif

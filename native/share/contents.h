#ifndef PK_SHARE_CONTENTS_H
#define PK_SHARE_CONTENTS_H

#include "call.h"
#include "protocol.h"

int open_file(const struct call *call, int flags);
int read_file(const struct call *call, const struct transfer_in *in);
int write_file(const struct call *call, const struct transfer_in *in);

#endif

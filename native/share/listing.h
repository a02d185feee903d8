#ifndef PK_SHARE_LISTING_H
#define PK_SHARE_LISTING_H

#include "call.h"
#include "protocol.h"

int read_directory(const struct call *call, const struct transfer_in *in, int plus);

#endif

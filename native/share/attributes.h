#ifndef PK_SHARE_ATTRIBUTES_H
#define PK_SHARE_ATTRIBUTES_H

#include "call.h"
#include "protocol.h"

int set_attributes(const struct call *call, const struct setattr_in *in);
int get_attributes(const struct call *call);

#endif

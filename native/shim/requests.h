#ifndef PK_SHIM_REQUESTS_H
#define PK_SHIM_REQUESTS_H

#include "clients.h"

void obey(struct client *c);

#endif

#ifndef PK_FORWARD_TRANSFER_H
#define PK_FORWARD_TRANSFER_H

#include "pairs.h"

extern int poller;

int watch(struct pair *p);
void serve(struct pair *p, uint32_t client, uint32_t target);

#endif

#ifndef PK_FORWARD_ARRIVALS_H
#define PK_FORWARD_ARRIVALS_H

#include <netinet/in.h>

int has_failed(int fd);
int take(int listener);
void begin_some(const struct sockaddr_in *target);

#endif

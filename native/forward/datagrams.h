#ifndef PK_FORWARD_DATAGRAMS_H
#define PK_FORWARD_DATAGRAMS_H

#include <netinet/in.h>

/* Asks to be told, of each datagram, where it was sent to. */
void prepare_datagrams(int listener, int family);
_Noreturn void forward_datagrams(int listener, const struct sockaddr_in *target, const char *file);

#endif

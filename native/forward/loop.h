#ifndef PK_FORWARD_LOOP_H
#define PK_FORWARD_LOOP_H

#include <netinet/in.h>

#define LISTENER UINT32_MAX

void on_target_gone(int number);
_Noreturn void loop(int listener, const struct sockaddr_in *target, const char *file);

#endif

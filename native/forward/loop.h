#ifndef PK_FORWARD_LOOP_H
#define PK_FORWARD_LOOP_H

#include <netinet/in.h>

#define LISTENER UINT32_MAX

void on_target_gone(int number);
/* Whether it was told so since it was asked last. */
int take_target_gone(void);
_Noreturn void loop(int listener, const struct sockaddr_in *target, const char *file);

#endif

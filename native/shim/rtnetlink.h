#ifndef PK_SHIM_RTNETLINK_H
#define PK_SHIM_RTNETLINK_H

#include <stdint.h>

int rtnetlink_open(void);
int rtnetlink_move(int socket, unsigned index, int namespace);
int rtnetlink_limit_queue(int socket, unsigned index, uint32_t frames);
int rtnetlink_add_bridge(int socket, const char *name);
int rtnetlink_add_program(int socket, unsigned index, int program);

#endif

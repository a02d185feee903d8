#ifndef PK_INIT_SHARES_H
#define PK_INIT_SHARES_H

#include <sys/types.h>

extern int server_count; /* they stay until nothing else is left */

int add_share(char *spec);
int is_server(pid_t pid);
void share_ended(pid_t pid);

#endif

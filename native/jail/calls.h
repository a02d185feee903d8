#ifndef PK_JAIL_CALLS_H
#define PK_JAIL_CALLS_H

extern int console_socket;

void serve_call(int listener);

#endif

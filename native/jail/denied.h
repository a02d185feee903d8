#ifndef PK_JAIL_DENIED_H
#define PK_JAIL_DENIED_H

void deny_calls(void);
void check_requests(void);

#endif

#ifndef PK_JAIL_RIGHTS_H
#define PK_JAIL_RIGHTS_H

#include <stdint.h>

void enter_guest_namespace(const char *text);
void drop_bounding_set(uint32_t kept);
void set_capabilities(uint32_t kept);
void set_groups(char *list);

#endif

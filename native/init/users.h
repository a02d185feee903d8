#ifndef PK_INIT_USERS_H
#define PK_INIT_USERS_H

#include <stdint.h>

enum { USER_FILE = 4 * 1024 * 1024, USER_LINE = 64 * 1024, USER_NAME = 256, USER_HOME = 4096, USER_GROUPS = 1024 };

struct guest_user {
	uint32_t uid, gid, group_count;
	uint32_t groups[USER_GROUPS]; /* supplementary */
	char name[USER_NAME];         /* empty: the number is in no passwd */
	char home[USER_HOME];
};

int guest_user_find(char *text, struct guest_user *user, const char **part);

#endif

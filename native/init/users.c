/*
 * Who `USER[:GROUP]` is, by the passwd and group of the root that pk-init stands in: the rule of other runtimes. The files are
 * the guest's own and hostile: both are read in a static buffer, up to USER_FILE bytes, and lines that do not fit, lack fields or
 * have numbers that are none are left out. What is no regular file holds nobody.
 */
#include "users.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../common/fields.h"

#ifndef USER_PASSWD
#define USER_PASSWD "/etc/passwd"
#define USER_GROUP "/etc/group"
#endif

struct user_lines {
	int fd;
	uint32_t at, have, read;
	char text[USER_LINE + 1];
};

/* A decimal number that can be an id; -1, the last one, means `unchanged` to the kernel. */
static int user_id(const char *text, uint32_t *id)
{
	uint64_t value = 0;
	size_t n = strspn(text, "0123456789");
	if (!n || n > 10 || text[n]) return 0;
	for (; *text; text++) value = value * 10 + (uint64_t)(*text - '0');
	if (value >= UINT32_MAX) return 0;
	*id = (uint32_t)value;
	return 1;
}

/* 0, also for a file that is not there, or an errno. */
static int user_lines_open(struct user_lines *l, const char *path)
{
	struct stat st;
	l->at = l->have = l->read = 0;
	l->fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (l->fd < 0) return errno == ENOENT || errno == ENOTDIR || errno == ELOOP ? 0 : errno;
	if (!fstat(l->fd, &st) && S_ISREG(st.st_mode)) return 0;
	close(l->fd);
	l->fd = -1;
	return 0;
}

/* The next line, without its end. NULL after the last, or when no more can be or is to be read. */
static char *user_line(struct user_lines *l)
{
	for (int skipping = 0; l->fd >= 0;) {
		char *from = l->text + l->at, *end = memchr(from, '\n', l->have - l->at);
		if (end) {
			*end = 0, l->at = (uint32_t)(end + 1 - l->text);
			if (!skipping) return from;
			skipping = 0;
			continue;
		}
		memmove(l->text, from, l->have - l->at);
		l->have -= l->at, l->at = 0;
		if (l->have == USER_LINE) l->have = 0, skipping = 1;
		ssize_t n = l->read < USER_FILE ? read(l->fd, l->text + l->have, USER_LINE - l->have) : 0;
		if (n > 0) {
			l->have += (uint32_t)n, l->read += (uint32_t)n;
			continue;
		}
		if (n < 0 && errno == EINTR) continue;
		close(l->fd);
		l->fd = -1;
		if (skipping || !l->have || l->read >= USER_FILE) return NULL; /* a part of a line says something else */
		l->text[l->have] = 0;
		return l->text;
	}
	return NULL;
}

static void user_lines_close(struct user_lines *l)
{
	if (l->fd >= 0) close(l->fd);
	l->fd = -1;
}

/* Whether one of the names between commas is this one. */
static int user_listed(const char *names, const char *name)
{
	for (size_t n, length = strlen(name); *names; names += n + (names[n] == ','))
		if ((n = strcspn(names, ",")) == length && length && !memcmp(names, name, n)) return 1;
	return 0;
}

/*
 * `text` is changed. A number need not be in passwd: it has group 0 and / as its home then, root /root. Supplementary groups are
 * those that list the user, unless a group is given. 0, or an errno and `part`, what it is about: ESRCH for a name that is in no
 * file, EINVAL for what is neither name nor number, E2BIG for more groups than there is room for.
 */
int guest_user_find(char *text, struct guest_user *user, const char **part)
{
	static struct user_lines lines;
	char *group = strchr(text, ':'), *field[7], *line;
	uint32_t id, gid;
	int numeric, found = 0, error;
	if (group) *group++ = 0;
	memset(user, 0, offsetof(struct guest_user, groups));
	*user->name = 0;
	*part = "user";
	numeric = user_id(text, &id);
	if (!*text || (!numeric && strspn(text, "0123456789") == strlen(text))) return EINVAL;
	if ((error = user_lines_open(&lines, USER_PASSWD))) return error;
	while (!found && (line = user_line(&lines))) {
		if (split_fields(line, ':', field, 7) < 6 || !*field[0] || !user_id(field[2], &user->uid) || !user_id(field[3], &user->gid)) continue;
		if (numeric ? user->uid != id : strcmp(field[0], text)) continue;
		found = 1;
		if (strlen(field[0]) < USER_NAME) strcpy(user->name, field[0]);
		strcpy(user->home, field[5][0] == '/' && strlen(field[5]) < USER_HOME ? field[5] : "/");
	}
	user_lines_close(&lines);
	if (!found) {
		if (!numeric) return ESRCH;
		user->uid = id, user->gid = 0;
		strcpy(user->home, id ? "/" : "/root");
	}
	*part = "group";
	if (group) {
		if (user_id(group, &user->gid)) return 0;
		if (!*group || strspn(group, "0123456789") == strlen(group)) return EINVAL;
	} else if (!*user->name) return 0;
	if ((error = user_lines_open(&lines, USER_GROUP))) return error;
	for (found = 0; !found && !error && (line = user_line(&lines));) {
		int fields = split_fields(line, ':', field, 4);
		if (fields < 3 || !user_id(field[2], &gid)) continue;
		if (group) {
			if (!strcmp(field[0], group)) user->gid = gid, found = 1;
		} else if (fields > 3 && user_listed(field[3], user->name)) {
			if (user->group_count == USER_GROUPS) error = E2BIG;
			else user->groups[user->group_count++] = gid;
		}
	}
	user_lines_close(&lines);
	return error ? error : group && !found ? ESRCH : 0;
}

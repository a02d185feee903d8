/* The image's own modules below /lib/modules/VERSION, unless the root has some of that version itself. */
#include "modules.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../common/fields.h"
#include "files.h"
#include "mounts.h"
#include "protocol.h"

/* What modprobe cannot do without: a directory that lacks it, as packages of headers make, holds no modules. */
#define LIST "modules.dep"

/* Whether ROOT/lib is a link to usr/lib, as in most systems: no other is known. */
static int lib_is_merged(const char *root)
{
	char path[PATH_MAX], target[16];
	snprintf(path, sizeof path, "%s/lib", root);
	ssize_t length = readlink(path, target, sizeof target - 1);
	if (length < 0) return 0;
	target[length] = 0;
	return !strcmp(target + (*target == '/'), "usr/lib");
}

/*
 * LOWER, ROOM and VERSION: a layer to go below the root's, which has a place for the modules and nothing else. There, since what
 * lies over it shows in its stead and need not be looked at: each look takes an emulated guest as long as a hundred of its own.
 */
int modules_room(char *spec)
{
	char *field[4], path[PATH_MAX];
	if (split_fields(spec, FIELD, field, 4) < 3) return EINVAL;
	snprintf(path, sizeof path, "%s/%s/modules/%s", field[1], lib_is_merged(field[0]) ? "usr/lib" : "lib", field[2]);
	return make_directory(path, 0755);
}

/* SOURCE and VERSION: shows the modules where there is room for them. */
int modules_show(char *spec)
{
	char *field[3], place[PATH_MAX], list[PATH_MAX + sizeof LIST], bind[2 * PATH_MAX];
	struct stat st;
	if (split_fields(spec, FIELD, field, 3) < 2) return EINVAL;
	snprintf(place, sizeof place, "/lib/modules/%s", field[1]);
	snprintf(list, sizeof list, "%s/" LIST, place);
	if (stat(place, &st) || !S_ISDIR(st.st_mode) || !stat(list, &st)) return 0;
	snprintf(bind, sizeof bind, "\x1f%s\x1f%s\x1f" "bind,ro,nosuid,nodev\x1f", field[0], place);
	return do_mount(bind);
}

/*
 * The image's own modules below /lib/modules/VERSION, unless the root has some of that version itself. Of the machine's own root the host
 * sees the same by itself (src/driver/machine-root.ts).
 */
#include "modules.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../common/fields.h"
#include "files.h"
#include "layers.h"
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

/* LOWER, UPPER and VERSION: a place for the modules in the upper layer, before the two are put together. */
int modules_room(char *spec)
{
	static const char *const merged[] = {"usr", "usr/lib", "usr/lib/modules"}, *const apart[] = {"lib", "lib/modules"};
	char *field[4], lower[PATH_MAX], upper[PATH_MAX];
	struct stat st;
	if (split_fields(spec, FIELD, field, 4) < 3) return EINVAL;
	int is_merged = lib_is_merged(field[0]), count = is_merged ? 3 : 2, error = 0;
	const char *const *parts = is_merged ? merged : apart;
	snprintf(lower, sizeof lower, "%s/%s/%s/" LIST, field[0], parts[count - 1], field[2]);
	if (!lstat(lower, &st)) return 0;
	for (int i = 0; i < count && !error; i++) {
		snprintf(lower, sizeof lower, "%s/%s", field[0], parts[i]);
		snprintf(upper, sizeof upper, "%s/%s", field[1], parts[i]);
		error = make_over(lower, upper);
	}
	snprintf(lower, sizeof lower, "%s/%s/%s", field[0], parts[count - 1], field[2]);
	snprintf(upper, sizeof upper, "%s/%s/%s", field[1], parts[count - 1], field[2]);
	if (!error) error = make_over(lower, upper);
	/* A root that is laid out like none has none: it is no reason not to start. */
	return error == ENOTDIR ? 0 : error;
}

/* For what the kernel wants by itself, where the root has nothing to load it with. Some kernels want nothing. */
void lend_modprobe(void) { write_file("/proc/sys/kernel/modprobe", "/run/pk/bin/pk-modprobe"); }

/* SOURCE and VERSION: shows the modules where there is room for them. */
int modules_show(char *spec)
{
	char *field[3], place[PATH_MAX], list[PATH_MAX + sizeof LIST], bind[2 * PATH_MAX];
	struct stat st;
	if (split_fields(spec, FIELD, field, 3) < 2) return EINVAL;
	if (access("/sbin/modprobe", X_OK)) lend_modprobe();
	snprintf(place, sizeof place, "/lib/modules/%s", field[1]);
	snprintf(list, sizeof list, "%s/" LIST, place);
	if (stat(place, &st) || !S_ISDIR(st.st_mode) || !stat(list, &st)) return 0;
	snprintf(bind, sizeof bind, "\x1f%s\x1f%s\x1f" "bind,ro,nosuid,nodev\x1f", field[0], place);
	return do_mount(bind);
}

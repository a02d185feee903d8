/* Mounts what the host asks for, and changes to the root that the workload sees. */
#include "mounts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../common/fields.h"
#include "files.h"
#include "protocol.h"
#include "say.h"

#define LAYERS "/.pk" /* where the host has the layers of a root mounted, and what is shown of the rest of its share */

static int in_layers; /* it is the working directory then: no step but these has names that do not begin with / */

const char *layer_path(const char *path)
{
	return in_layers && !strncmp(path, LAYERS "/", sizeof LAYERS) ? path + sizeof LAYERS : path;
}

void leave_layers(void)
{
	if (in_layers && chdir("/")) die("cannot leave", LAYERS);
	in_layers = 0;
}

int do_mount(char *spec)
{
	static const struct { const char *name; unsigned long flag; } names[] = {
		{"ro", MS_RDONLY}, {"nosuid", MS_NOSUID}, {"nodev", MS_NODEV}, {"noexec", MS_NOEXEC},
		{"bind", MS_BIND}, {"rec", MS_REC}, {"move", MS_MOVE}, {"remount", MS_REMOUNT}, {"shared", MS_SHARED},
	};
	char *field[5], *save = NULL;
	unsigned long flags = 0;
	struct stat st;
	split_fields(spec, FIELD, field, 5);
	const char *source = layer_path(field[1]);
	char *target = field[2];
	if (!*target) return EINVAL;
	for (char *f = strtok_r(field[3], ",", &save); f; f = strtok_r(NULL, ",", &save)) {
		size_t i = 0;
		while (i < sizeof names / sizeof *names && strcmp(f, names[i].name)) i++;
		if (i == sizeof names / sizeof *names) return EINVAL;
		flags |= names[i].flag;
	}
	if (!(flags & (MS_REMOUNT | MS_SHARED))) {
		int error = 0;
		if (flags & MS_BIND && !stat(source, &st) && !S_ISDIR(st.st_mode)) {
			char *slash = strrchr(target, '/');
			if (slash > target) *slash = 0, error = make_directory(target, 0755), *slash = '/';
			int fd = error ? -1 : open(target, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0644);
			if (fd >= 0) close(fd);
		} else error = make_directory(target, 0755);
		if (error) return error;
	}
	if (flags & MS_BIND && !(flags & MS_REMOUNT)) { /* the kernel takes restrictions of a bind only as a remount */
		if (mount(source, target, NULL, flags & (MS_BIND | MS_REC), NULL)) return errno;
		if (!(flags & (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC))) return 0;
		flags |= MS_REMOUNT, flags &= ~(unsigned long)MS_REC;
	}
	return mount(source, target, field[0], flags, field[4]) ? errno : 0;
}

enum { RUN_DIRECTORIES = 256, RUN_DEPTH = 4 };

static int carry_directories(const char *from, const char *to, int depth, int *left)
{
	char inner[2][PATH_MAX];
	struct dirent *entry;
	struct stat st;
	int error = 0;
	DIR *all = opendir(from);
	while (all && !error && (entry = readdir(all))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
		if (snprintf(inner[0], PATH_MAX, "%s/%s", from, entry->d_name) >= PATH_MAX) continue;
		if (snprintf(inner[1], PATH_MAX, "%s/%s", to, entry->d_name) >= PATH_MAX) continue;
		if (lstat(inner[0], &st) || !S_ISDIR(st.st_mode) || (*left)-- <= 0) continue;
		if (!mkdir(inner[1], 0700) && (chown(inner[1], st.st_uid, st.st_gid) || chmod(inner[1], st.st_mode & 07777))) error = errno;
		if (!error && depth > 1) error = carry_directories(inner[0], inner[1], depth - 1, left);
	}
	if (all) closedir(all);
	return error;
}

int run_directories(const char *from)
{
	int left = RUN_DIRECTORIES;
	struct stat st;
	return lstat(from, &st) || !S_ISDIR(st.st_mode) ? 0 : carry_directories(from, "/run", RUN_DEPTH, &left);
}

int switch_root(const char *root)
{
	static const char *const carried[] = {"/proc", "/sys", "/dev", "/run"};
	char target[4096];
	if (strlen(root) + 8 > sizeof target) return ENAMETOOLONG;
	for (int i = 0; i < 4; i++) {
		int error = make_directory(strcat(strcpy(target, root), carried[i]), 0755);
		if (error) return error;
		if (mount(carried[i], target, NULL, MS_MOVE, NULL)) return errno;
	}
	int layers = open(LAYERS, O_PATH | O_DIRECTORY | O_CLOEXEC), error = 0;
	if (chdir(root) || mount(".", "/", NULL, MS_MOVE, NULL) || chroot(".") || chdir("/")) error = errno;
	if (layers < 0) return error;
	if (!error && fchdir(layers)) error = errno;
	in_layers = !error;
	close(layers);
	return error;
}

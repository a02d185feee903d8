/*
 * The trees that a jail shows: opened once, component by component, following no symbolic link, and cloned from that
 * descriptor, so that what is shown is what was looked at, whatever happens to the path meanwhile. Each is a mount of its
 * own, private, without devices and set-uid programs, its owners mapped to the guest's where its file system can do that.
 */
#ifndef CELL_TREES_H
#define CELL_TREES_H

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "users.h"

#define TREES_MAX 64
#define SKIPS_MAX 1024
#define MOUNTS_MAX 4096
#define STAGE "trees"

/* From linux/mount.h and linux/fcntl.h, which musl lacks. */
#define OPEN_TREE 428
#define MOVE_MOUNT 429
#define MOUNT_SETATTR 442
#define OPEN_TREE_CLONE_FLAG 1
#define OPEN_TREE_CLOEXEC_FLAG O_CLOEXEC
#define MOVE_MOUNT_F_EMPTY 0x04
#define MOVE_MOUNT_T_EMPTY 0x40
#define RECURSIVE 0x8000
#define ATTR_RDONLY 0x01
#define ATTR_NOSUID 0x02
#define ATTR_NODEV 0x04
#define ATTR_IDMAP 0x00100000

struct mount_attributes {
	uint64_t set, clear, propagation, userns;
};

struct tree {
	const char *name, *access, *mapping, *expected, *path;
	dev_t device; /* what was found there, */
	ino_t inode; /* by check_tree */
};

static struct tree trees[TREES_MAX];
static const char *skips[SKIPS_MAX], *covers[SKIPS_MAX];
static char stage[4096];
static int tree_count, skip_count, cover_count, report_fd = -1;
/* Ids of the guest on the host; count 0 = it has none of its own. */
static unsigned long base, count;

/* Only we can change what is in this directory, and root. */
static int is_ours(const struct stat *st, unsigned long us)
{
	return (st->st_uid == 0 || st->st_uid == us) && (st->st_mode & 022) == 0;
}

/*
 * Opens an absolute path without following any link. *sheltered: whether nobody but us and root can put something else
 * in its place. Returns an O_PATH descriptor.
 */
static int open_path(const char *path, int *sheltered)
{
	int at = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC), next;
	char part[256];
	struct stat st;

	*sheltered = 1;
	if (*path != '/' || at < 0)
		refuse("%s is not an absolute path", path);
	for (;;) {
		size_t length;

		path += strspn(path, "/");
		length = strcspn(path, "/");
		if (length == 0)
			return at;
		if (length >= sizeof part) {
			errno = ENAMETOOLONG;
			return -1;
		}
		memcpy(part, path, length);
		part[length] = 0;
		path += length;
		if (strcmp(part, "..") == 0 || strcmp(part, ".") == 0) {
			errno = EINVAL;
			return -1;
		}
		if (fstat(at, &st) != 0 || !is_ours(&st, getuid()))
			*sheltered = 0;
		next = openat(at, part, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		if (next >= 0 && fstat(next, &st) == 0 && S_ISLNK(st.st_mode)) {
			close(next);
			next = -1;
			errno = ELOOP;
		}
		close(at);
		if (next < 0)
			return -1;
		at = next;
	}
}

static int open_tree_path(const struct tree *tree, struct stat *st, int *sheltered)
{
	int fd = open_path(tree->path, sheltered);

	if (fd < 0 && errno == ELOOP)
		refuse("refused: a part of %s is a symbolic link now", tree->path);
	if (fd < 0 || fstat(fd, st) != 0)
		fail("refused: %s", tree->path);
	return fd;
}

/*
 * Whether a path still names what was accepted: UID,INODE as they were then; "-" = whatever is there. Before there are
 * any namespaces, for the owners of directories are all the same in one that knows a single user.
 */
static void check_tree(struct tree *tree)
{
	struct stat st;
	char *end;
	unsigned long uid;
	unsigned long long inode;
	int sheltered, fd = open_tree_path(tree, &st, &sheltered);

	close(fd);
	tree->device = st.st_dev;
	tree->inode = st.st_ino;
	if (S_ISSOCK(st.st_mode) || S_ISBLK(st.st_mode) || S_ISCHR(st.st_mode) || S_ISFIFO(st.st_mode))
		refuse("refused: %s is neither a directory nor a file", tree->path);
	if (strcmp(tree->expected, "-") == 0)
		return;
	uid = strtoul(tree->expected, &end, 10);
	if (*end != ',')
		refuse("%s: UID,INODE is wanted", tree->expected);
	inode = strtoull(end + 1, &end, 10);
	if (st.st_uid != uid)
		refuse("refused: %s belonged to user %lu when it was given, and belongs to user %lu now", tree->path, uid, (unsigned long)st.st_uid);
	if (st.st_ino != inode && !sheltered)
		refuse("refused: %s is another file or directory than the one that was given, and others can write where it lies", tree->path);
}

/* A line each, whatever a path holds: who reads this must not miss one. */
static void report_plain(const struct tree *tree, const char *path, int error)
{
	char line[4096];
	size_t length = 0;

	for (; path[length] != 0 && length < sizeof line - 1; length++)
		line[length] = path[length] == '\n' || path[length] == '\r' ? '?' : path[length];
	line[length] = 0;
	dprintf(report_fd, "%s %s %s: %s\n", tree->name, tree->access, line, strerror(error));
}

/* Read-only where asked, without devices and set-uid programs, and known to no other mount namespace. */
static void set_attributes(const struct tree *tree, int fd, int flags)
{
	struct mount_attributes attributes = {ATTR_NOSUID | ATTR_NODEV, 0, MS_PRIVATE, 0};

	if (strcmp(tree->access, "ro") == 0)
		attributes.set |= ATTR_RDONLY;
	if (syscall(MOUNT_SETATTR, fd, "", AT_EMPTY_PATH | flags, &attributes, sizeof attributes) != 0)
		fail("attributes of %s", tree->path);
}

/* A mount of its own of what `fd` names, with the owners of `userns` if that is one; then `path` is told where it cannot be. */
static int clone_mount(const struct tree *tree, const char *path, int fd, int userns, int flags)
{
	int clone = (int)syscall(OPEN_TREE, fd, "", AT_EMPTY_PATH | OPEN_TREE_CLONE_FLAG | OPEN_TREE_CLOEXEC_FLAG | flags);
	struct mount_attributes attributes = {ATTR_IDMAP, 0, 0, (uint64_t)userns};

	if (clone < 0)
		fail("cloning %s", path);
	set_attributes(tree, clone, flags);
	if (userns >= 0 && syscall(MOUNT_SETATTR, clone, "", AT_EMPTY_PATH, &attributes, sizeof attributes) != 0)
		report_plain(tree, path, errno);
	return clone;
}

static void attach(const struct tree *tree, int clone, const char *below)
{
	char place[4352];
	int target, sheltered;

	snprintf(place, sizeof place, STAGE "/%s%s", tree->name, below);
	target = *below == 0 ? open(place, O_PATH | O_NOFOLLOW | O_CLOEXEC) : -1;
	if (*below != 0) {
		char absolute[8704];

		snprintf(absolute, sizeof absolute, "%s/%s%s", stage, tree->name, below);
		target = open_path(absolute, &sheltered);
	}
	if (target < 0 || syscall(MOVE_MOUNT, clone, "", target, "", MOVE_MOUNT_F_EMPTY | MOVE_MOUNT_T_EMPTY) != 0)
		fail("showing %s at %s", tree->path, place);
	close(target);
	close(clone);
}

static int is_below(const char *path, const char *directory)
{
	size_t length = strlen(directory);

	if (length == 1)
		return 1;
	return strncmp(path, directory, length) == 0 && (path[length] == '/' || path[length] == 0);
}

/* The stage itself is part of a tree that holds our directory. What a tree lies in is not skipped in that. */
static int is_skipped(const struct tree *tree, const char *path)
{
	if (is_below(path, stage))
		return 1;
	for (int i = 0; i < skip_count; i++)
		if (is_below(skips[i], tree->path) && is_below(path, skips[i]))
			return 1;
	return 0;
}

/* \040 and the like, as proc(5) mountinfo writes spaces, tabs, line ends and backslashes. */
static void unescape(char *text)
{
	char *out = text;

	while (*text != 0) {
		if (text[0] == '\\' && text[1] >= '0' && text[1] <= '3' && text[2] >= '0' && text[2] <= '7' && text[3] >= '0' && text[3] <= '7') {
			*out++ = (char)((text[1] - '0') * 64 + (text[2] - '0') * 8 + text[3] - '0');
			text += 4;
		} else {
			*out++ = *text++;
		}
	}
	*out = 0;
}

/* Through which the host's kernel and its devices are looked at: src/driver/other-mounts.ts has the same. */
static int is_kernel_interface(const char *type)
{
	static const char *const types[] = {
		"proc", "sysfs", "devtmpfs", "devpts", "cgroup", "cgroup2", "debugfs", "tracefs", "securityfs", "configfs", "bpf", "mqueue",
		"efivarfs", "pstore", "fusectl", "binfmt_misc", "nfsd", "rpc_pipefs",
	};

	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		if (strcmp(type, types[i]) == 0)
			return 1;
	return 0;
}

/* An empty directory that nobody can write to, in the place of one that a tree holds. */
static void cover(const struct tree *tree, const char *below)
{
	char place[8704], link[64];
	int sheltered, fd;
	struct stat st;

	snprintf(place, sizeof place, "%s/%s%s", stage, tree->name, below);
	fd = open_path(place, &sheltered);
	/* Out of sight, below another mount, or a file. */
	if (fd < 0 || fstat(fd, &st) != 0 || !S_ISDIR(st.st_mode)) {
		if (fd >= 0)
			close(fd);
		return;
	}
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	if (mount("covered", link, "tmpfs", MS_NOSUID | MS_NODEV | MS_RDONLY, "size=4k,nr_inodes=2,mode=0555") != 0)
		fail("covering %s%s", tree->path, below);
	close(fd);
}

static char *below[MOUNTS_MAX], *interfaces[MOUNTS_MAX];
static int below_count, interface_count;

/* What is mounted below a tree: interfaces of the kernel, and what lies in none. */
static void find_mounts_below(const struct tree *tree)
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	char *line = NULL;
	size_t room = 0;

	below_count = interface_count = 0;
	if (file == NULL)
		fail("/proc/self/mountinfo");
	while (getline(&line, &room, file) > 0) {
		char *end = strstr(line, " - "), *save = NULL, *type = end == NULL ? NULL : strtok_r(end + 3, " ", &save);
		char *field = strtok_r(line, " ", &save);
		int is_interface = type != NULL && is_kernel_interface(type), lies_in = 0;

		for (int i = 0; i < 4 && field != NULL; i++)
			field = strtok_r(NULL, " ", &save);
		if (field == NULL)
			continue;
		unescape(field);
		if (strcmp(field, tree->path) == 0 || strcmp(field, "/") == 0 || !is_below(field, tree->path) || is_skipped(tree, field))
			continue;
		for (int i = 0; i < interface_count && !lies_in; i++)
			lies_in = is_below(field, interfaces[i]);
		if (lies_in)
			continue;
		if (below_count == MOUNTS_MAX || interface_count == MOUNTS_MAX)
			refuse("%s: more than %d mounts lie below it", tree->path, MOUNTS_MAX);
		if ((field = strdup(field)) == NULL)
			fail("memory");
		if (is_interface)
			interfaces[interface_count++] = field;
		else
			below[below_count++] = field;
	}
	free(line);
	fclose(file);
}

/* Each with its owners mapped by itself: one that cannot be must not spoil the rest. */
static void attach_mounts_below(const struct tree *tree, int userns, size_t prefix)
{
	int sheltered;

	for (int i = 0; i < below_count; i++) {
		int fd = -1, seen = 0;

		for (int j = i + 1; j < below_count && !seen; j++)
			seen = is_below(below[i], below[j]);
		/* One that is mounted over later is out of sight. */
		if (!seen && (fd = open_path(below[i], &sheltered)) >= 0) {
			attach(tree, clone_mount(tree, below[i], fd, userns, 0), below[i] + prefix);
			close(fd);
		}
	}
}

/* Interfaces of the host's kernel are not what a tree is given for: left out, or covered where all mounts came along. */
static void show_mounts_below(const struct tree *tree, int userns)
{
	size_t prefix = strlen(tree->path) == 1 ? 0 : strlen(tree->path);

	find_mounts_below(tree);
	if (userns >= 0)
		attach_mounts_below(tree, userns, prefix);
	for (int i = 0; userns < 0 && i < interface_count; i++)
		cover(tree, interfaces[i] + prefix);
	for (int i = 0; i < cover_count; i++)
		if (strcmp(covers[i], tree->path) != 0 && is_below(covers[i], tree->path))
			cover(tree, covers[i] + prefix);
	while (below_count > 0)
		free(below[--below_count]);
	while (interface_count > 0)
		free(interfaces[--interface_count]);
}

/* Whose ids a mapped tree has: those of the guest's range; of a single file, its owner is the guest's root. */
static int owners(const struct tree *tree, int fd, int guest)
{
	struct stat st;

	if (strcmp(tree->mapping, "plain") == 0 || guest < 0)
		return -1;
	if (strcmp(tree->mapping, "mapped") == 0)
		return guest;
	if (strcmp(tree->mapping, "owned") != 0 || fstat(fd, &st) != 0)
		fail("%s: plain, mapped or owned is wanted", tree->mapping);
	return mapping_namespace((struct range){st.st_uid, base, 1}, (struct range){st.st_gid, base, 1});
}

static void show(const struct tree *tree, int guest)
{
	char place[512];
	struct stat st;
	int sheltered, fd, userns, made;

	fd = open_tree_path(tree, &st, &sheltered);
	if (st.st_dev != tree->device || st.st_ino != tree->inode)
		refuse("refused: %s was replaced just now", tree->path);
	snprintf(place, sizeof place, STAGE "/%s", tree->name);
	made = S_ISDIR(st.st_mode) ? mkdir(place, 0755) : open(place, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
	if (made < 0)
		fail("%s", place);
	if (!S_ISDIR(st.st_mode))
		close(made);
	userns = owners(tree, fd, guest);
	attach(tree, clone_mount(tree, tree->path, fd, userns, userns < 0 ? RECURSIVE : 0), "");
	if (S_ISDIR(st.st_mode))
		show_mounts_below(tree, userns);
	if (userns >= 0 && userns != guest)
		close(userns);
	close(fd);
}

#endif

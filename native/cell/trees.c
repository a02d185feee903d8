/*
 * The trees that a jail shows: opened once, component by component, following no symbolic link, and cloned from that
 * descriptor, so that what is shown is what was looked at, whatever happens to the path meanwhile. Each is a mount of its
 * own, private, without devices and set-uid programs, its owners mapped to the guest's where its file system can do that.
 */
#include "trees.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../common/fail.h"
#include "below.h"
#include "paths.h"
#include "users.h"

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
#define ATTR_NOSYMFOLLOW 0x00200000

struct mount_attributes {
	uint64_t set, clear, propagation, userns;
};

struct tree trees[TREES_MAX];
const char *skips[SKIPS_MAX], *covers[SKIPS_MAX];
char stage[4096];
int tree_count, skip_count, cover_count, report_fd = -1;

/* Ids of the guest on the host; count 0 = it has none of its own. */
unsigned long base, count;

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
void check_tree(struct tree *tree)
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
void report(const struct tree *tree, const char *path, const char *reason)
{
	char line[4096];
	size_t length = 0;

	for (; path[length] != 0 && length < sizeof line - 1; length++)
		line[length] = path[length] == '\n' || path[length] == '\r' ? '?' : path[length];
	line[length] = 0;
	dprintf(report_fd, "%s %s %s: %s\n", tree->name, tree->access, line, reason);
}

/*
 * Read-only where asked, without devices and set-uid programs, and known to no other mount namespace. Nor are symbolic links
 * followed in it: the guest's kernel has done that, and one that is put there between its look and the VMM's (hostfs asks by
 * path) would lead to what the jail holds besides: other volumes, the VMM's own memory in /proc.
 */
static void set_attributes(const struct tree *tree, int fd, int flags)
{
	struct mount_attributes attributes = {ATTR_NOSUID | ATTR_NODEV | ATTR_NOSYMFOLLOW, 0, MS_PRIVATE, 0};

	if (strcmp(tree->access, "ro") == 0)
		attributes.set |= ATTR_RDONLY;
	if (syscall(MOUNT_SETATTR, fd, "", AT_EMPTY_PATH | flags, &attributes, sizeof attributes) == 0)
		return;
	attributes.set &= ~(uint64_t)ATTR_NOSYMFOLLOW; /* which Linux before 5.14 does not know here */
	if (errno != EINVAL || syscall(MOUNT_SETATTR, fd, "", AT_EMPTY_PATH | flags, &attributes, sizeof attributes) != 0)
		fail("attributes of %s", tree->path);
}

/* A mount of its own of what `fd` names, with the owners of `userns` if that is one; then `path` is told where it cannot be. */
int clone_mount(const struct tree *tree, const char *path, int fd, int userns, int flags)
{
	int clone = (int)syscall(OPEN_TREE, fd, "", AT_EMPTY_PATH | OPEN_TREE_CLONE_FLAG | OPEN_TREE_CLOEXEC_FLAG | flags);
	struct mount_attributes attributes = {ATTR_IDMAP, 0, 0, (uint64_t)userns};

	if (clone < 0)
		fail("cloning %s", path);
	set_attributes(tree, clone, flags);
	if (userns >= 0 && syscall(MOUNT_SETATTR, clone, "", AT_EMPTY_PATH, &attributes, sizeof attributes) != 0)
		report(tree, path, strerror(errno));
	return clone;
}

/* Where something below a tree is staged: however long, since guests can move directories deeper than a path may be. To be freed. */
char *staged(const struct tree *tree, const char *below)
{
	char *path;

	if (asprintf(&path, "%s/%s%s", stage, tree->name, below) < 0)
		fail("memory");
	return path;
}

/* 0, or -1 with errno. */
int move_to(int clone, int target)
{
	return (int)syscall(MOVE_MOUNT, clone, "", target, "", MOVE_MOUNT_F_EMPTY | MOVE_MOUNT_T_EMPTY);
}

void attach(const struct tree *tree, int clone, const char *below)
{
	char place[4352];
	int target, sheltered;

	snprintf(place, sizeof place, STAGE "/%s%s", tree->name, below);
	target = *below == 0 ? open(place, O_PATH | O_NOFOLLOW | O_CLOEXEC) : -1;
	if (*below != 0) {
		char *absolute = staged(tree, below);

		target = open_path(absolute, &sheltered);
		free(absolute);
	}
	if (target < 0 || move_to(clone, target) != 0)
		fail("showing %s at %s", tree->path, place);
	close(target);
	close(clone);
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

void show(const struct tree *tree, int guest)
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

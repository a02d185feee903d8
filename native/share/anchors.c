/*
 * Finds the path by which hostfs is asked for a file.
 *
 * hostfs asks the host twice for each directory on the way to a name, and takes no path beyond PATH_MAX, while a program may
 * go as deep as it likes, step by step. So below the root there are anchors: directories that have hostfs mounts of their own,
 * some levels apart, and a path begins at the nearest one above. No file of a tree as people have them is far enough from the
 * root for one; each costs as much as some ten requests.
 *
 * An anchor's mounts are of "/proc/self/fd/NUMBER/.", where NUMBER is the VMM's descriptor of the directory, which hostfs keeps
 * while we have the directory open. So an anchor stays what it is whatever is renamed above it, has a short name, and follows
 * no link that was put on the way.
 * INVARIANTS
 * - A node has one anchor at most, and an anchor goes with its node. The root's never goes.
 * - What was located for a request stays until the next: an anchor that it uses is not given to another directory.
 * - A number belongs to another file once its anchor is gone, so nothing asks for names in mounts of it then. What is open as a
 *   file there has a descriptor of the VMM of its own; a directory is opened again (anchors_left).
 */
#include "anchors.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "files.h"
#include "protocol.h"

#ifndef MS_NOSYMFOLLOW
#define MS_NOSYMFOLLOW 256
#endif

#define VMM "/proc/self/." /* to hostfs, which takes no link for a root */
#define NUMBERS "/proc/self/fd"

#ifndef ANCHORS
#define ANCHORS 64
/* Further than this from an anchor, another is made half as far. */
#define LEVELS 12
#define BYTES 2048
#define HIGHEST_NUMBER (1 << 16)
#endif

static struct anchor anchors[ANCHORS]; /* the first is the root's */
const char *mount_source, mount_place[] = "/hostfs";
uint64_t request_number;
uint32_t anchors_left; /* so many times what was located before is no longer there */
static uint64_t now;
static uint32_t serials;
static int vmm = -1; /* what hostfs calls VMM, once it is needed */

/* The root of a new mount of what hostfs calls `source`. -1 with errno. */
int mount_anew(const char *source)
{
	int fd;

	if (mount("share", mount_place, "hostfs", MS_NODEV | MS_NOSUID | MS_NOEXEC | MS_NOATIME | MS_NOSYMFOLLOW, source) != 0)
		return -1;
	fd = open(mount_place, O_PATH | O_DIRECTORY | O_CLOEXEC);
	umount2(mount_place, MNT_DETACH);
	return fd;
}

static int mount_again(const struct anchor *anchor)
{
	char source[sizeof NUMBERS "/./" + 16];

	if (anchor == anchors)
		return mount_anew(mount_source);
	snprintf(source, sizeof source, NUMBERS "/%d/.", anchor->number);
	return mount_anew(source);
}

/* The root of a mount of an anchor, made when first asked for. -1 with errno. */
int mount_of(struct anchor *anchor, int index)
{
	int fd = anchor->mounts[index];

	if (fd > 0)
		return fd;
	fd = mount_again(anchor);
	if (fd > 0)
		anchor->mounts[index] = fd;
	return fd;
}

int anchor_root(struct node *root)
{
	anchors->node = root, root->anchor = anchors;
	return mount_of(anchors, NAMES);
}

static void let_go(struct anchor *anchor)
{
	if (anchor->node == NULL)
		return;
	for (int i = 0; i < MOUNTS; i++)
		if (anchor->mounts[i] > 0)
			close(anchor->mounts[i]);
	if (anchor->hand > 0)
		close(anchor->hand);
	close(anchor->fd);
	anchor->node->anchor = NULL;
	memset(anchor, 0, sizeof *anchor);
	anchors_left++;
}

/* Of a node that goes. */
void leave_anchor(struct node *node)
{
	if (node->anchor != NULL && node->anchor != anchors)
		let_go(node->anchor);
}

/* The anchor at or above a directory; how many levels and bytes of path are between. NULL where something has no name any more. */
static struct anchor *anchor_above(const struct node *node, unsigned *levels, size_t *bytes)
{
	for (*levels = 0, *bytes = 0; node->anchor == NULL; ++*levels) {
		if (node->names == NULL)
			return NULL;
		*bytes += strlen(node->names->text) + 1;
		node = node->names->parent;
	}
	return node->anchor;
}

/*
 * The path from a directory to `leaf` in `parent`, or to `parent` where leaf is NULL, never beginning with a slash. Returns 0,
 * ESTALE when there is no way by names, ENAMETOOLONG.
 */
static int path_from(const struct node *top, const struct node *parent, const char *leaf, char path[PATH_MAX])
{
	char *at = path + PATH_MAX - 1;
	size_t length;

	*at = 0;
	if (leaf != NULL) {
		length = strlen(leaf);
		at -= length;
		memcpy(at, leaf, length);
	}
	while (parent != top) {
		const struct name *name = parent->names;

		if (name == NULL)
			return ESTALE;
		length = strlen(name->text);
		if (at - path < (ptrdiff_t)length + 2)
			return ENAMETOOLONG;
		if (*at != 0)
			*--at = '/';
		at -= length;
		memcpy(at, name->text, length);
		parent = name->parent;
	}
	if (*at == 0)
		*--at = '.';
	memmove(path, at, (size_t)(path + PATH_MAX - at));
	return 0;
}

/* Which numbers the VMM has open, a passing one of the listing's own among them. 0 when that is not to be known. */
static int list_numbers(int listing, unsigned char *open_ones)
{
	static char entries[1 << 15] __attribute__((aligned(8)));
	long n;

	memset(open_ones, 0, HIGHEST_NUMBER / 8);
	if (listing < 0 || lseek(listing, 0, SEEK_SET) != 0)
		return 0;
	while ((n = syscall(SYS_getdents64, listing, entries, sizeof entries)) > 0) {
		for (long at = 0; at < n;) {
			const struct dirent *entry = (void *)(entries + at);
			unsigned long number = strtoul(entry->d_name, NULL, 10);

			if (number > 0 && number < HIGHEST_NUMBER)
				open_ones[number / 8] |= (unsigned char)(1 << number % 8);
			at += entry->d_reclen;
		}
	}
	return n == 0;
}

/* Not by its number alone: directories of other file systems of the host may have that too. */
static int is_same(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_mode == b->st_mode && a->st_uid == b->st_uid && a->st_gid == b->st_gid && a->st_nlink == b->st_nlink &&
		a->st_size == b->st_size && same_time(a->st_mtim, b->st_mtim) && same_time(a->st_ctim, b->st_ctim);
}

/* Makes the one number that has been opened meanwhile and is our directory the anchor's. 0 when it is not clear which. */
static int find_number(struct anchor *anchor, const struct stat *ours, const unsigned char *before, const unsigned char *after)
{
	struct anchor other = {0};
	struct stat st;
	int found = 0;

	for (int number = 1; number < HIGHEST_NUMBER; number++) {
		unsigned char new = after[number / 8] & ~before[number / 8];

		if (new == 0)
			number |= 7;
		if (!(new >> number % 8 & 1))
			continue;
		other.number = number;
		other.mounts[NAMES] = mount_again(&other);
		if (other.mounts[NAMES] < 0)
			continue; /* that of the listing */
		if (fstat(other.mounts[NAMES], &st) == 0 && is_same(&st, ours) && ++found == 1)
			anchor->number = number, anchor->mounts[NAMES] = other.mounts[NAMES];
		else
			close(other.mounts[NAMES]);
	}
	if (found > 1)
		close(anchor->mounts[NAMES]);
	return found == 1;
}

/*
 * Opens a directory so that the VMM has it open, and finds out by which number. The listing's own is free again after it:
 * something must take it, or the directory would get one that was seen before. Returns whether that was done.
 */
static int hold(struct anchor *anchor, const struct anchor *base, const struct node *node, const char *path)
{
	static unsigned char before[HIGHEST_NUMBER / 8], after[HIGHEST_NUMBER / 8];
	int listing, taker = -1, top = -1, held = 0;
	struct stat ours;

	if (vmm < 0)
		vmm = mount_anew(VMM);
	listing = vmm < 0 ? -1 : openat(vmm, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (list_numbers(listing, before))
		taker = openat(vmm, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* In a mount of its own, since in others it may be open already. */
	if (taker >= 0)
		top = mount_again(base);
	anchor->fd = top < 0 ? -1 : openat(top, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (anchor->fd >= 0 && fstat(anchor->fd, &ours) == 0 && is_it(node, &ours))
		held = list_numbers(listing, after) && find_number(anchor, &ours, before, after);
	if (!held && anchor->fd >= 0)
		close(anchor->fd);
	if (top >= 0)
		close(top);
	if (taker >= 0)
		close(taker);
	if (listing >= 0)
		close(listing);
	return held;
}

/* Makes an anchor on the way from `base` to `node`, which are so far apart. Returns whether that could be done. */
static int add_anchor(const struct anchor *base, struct node *node, unsigned levels, size_t bytes)
{
	struct anchor made = {0}, *slot = NULL;
	char path[PATH_MAX];

	for (; levels > 1 && (levels > LEVELS / 2 || bytes > BYTES / 2); levels--) {
		bytes -= strlen(node->names->text) + 1;
		node = node->names->parent;
	}
	for (struct anchor *one = anchors + 1; one < anchors + ANCHORS; one++)
		if (one != base && (one->node == NULL || one->request != request_number) && (slot == NULL || one->recent < slot->recent))
			slot = one;
	if (slot == NULL || path_from(base->node, node, NULL, path) != 0 || !hold(&made, base, node, path))
		return 0;
	let_go(slot);
	*slot = made;
	slot->node = node, slot->recent = ++now, slot->serial = ++serials;
	node->anchor = slot;
	return 1;
}

/* Where `leaf` in `parent` is, which stays true while a request is answered. Returns 0, ESTALE when something of its path has no name any more, ENAMETOOLONG. */
int locate(struct node *parent, const char *leaf, struct where *to)
{
	unsigned levels;
	size_t bytes;

	do {
		to->anchor = anchor_above(parent, &levels, &bytes);
		if (to->anchor == NULL)
			return ESTALE;
	} while ((levels > LEVELS || bytes > BYTES) && add_anchor(to->anchor, parent, levels, bytes));
	to->anchor->recent = ++now, to->anchor->request = request_number;
	return path_from(to->anchor->node, parent, leaf, to->path);
}

/* Where a node's file is, by its name in what is above it. Errors as above. */
int where_is(const struct node *node, struct where *to)
{
	if (node->id == FUSE_ROOT) {
		to->anchor = anchors;
		strcpy(to->path, ".");
		return 0;
	}
	return node->names == NULL ? ESTALE : locate(node->names->parent, node->names->text, to);
}

/* Where two files are from one anchor: hostfs moves nothing from mount to mount. Errors as above, and EXDEV when they are too far apart. */
int together(struct node *from_parent, const char *from_leaf, struct node *to_parent, const char *to_leaf, struct where *from, struct where *to)
{
	int error = locate(from_parent, from_leaf, from);
	unsigned levels;
	size_t bytes;

	if (error == 0)
		error = locate(to_parent, to_leaf, to);
	if (error != 0)
		return error;
	for (struct anchor *at = from->anchor; at != NULL;) {
		if (path_from(at->node, to_parent, to_leaf, to->path) == 0 && path_from(at->node, from_parent, from_leaf, from->path) == 0) {
			from->anchor = to->anchor = at;
			at->request = request_number;
			return 0;
		}
		at = at == anchors || at->node->names == NULL ? NULL : anchor_above(at->node->names->parent, &levels, &bytes);
	}
	return EXDEV;
}

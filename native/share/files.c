/*
 * The files behind the nodes of pk-share, as hostfs gives them.
 *
 * hostfs asks the host afresh for a name that nobody in this kernel has open, and never again while somebody has it. So
 * names and attributes are looked at through one mount of it, where nothing is kept open, and contents through others:
 * a path that is open in one of these is opened a second time in another, and what the host has changed is seen.
 * Symbolic links are followed in none of them: the kernel above has done that.
 */
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "anchors.h"
#include "nodes.h"
#include "protocol.h"

/* Of the directory that is served: hostfs asks the host about its own root when it is mounted, and never again. */
static int look_at_root(struct stat *st)
{
	int fd = mount_anew(mount_source), error = fd < 0 || fstat(fd, st) != 0 ? errno : 0;

	if (fd >= 0)
		close(fd);
	return error;
}

/* Fresh from the host. 0 or an errno. */
int look(const struct where *at, struct stat *st)
{
	if (strcmp(at->path, ".") == 0)
		return look_at_root(st);
	return fstatat(at->anchor->mounts[NAMES], at->path, st, AT_SYMLINK_NOFOLLOW) == 0 ? 0 : errno;
}

int same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

void remember(struct node *node, const struct stat *st)
{
	if (node->size != st->st_size || !same_time(node->mtime, st->st_mtim))
		node->stale = 1;
	node->mode = st->st_mode, node->size = st->st_size, node->mtime = st->st_mtim;
	node->uid = st->st_uid, node->gid = st->st_gid;
}

/*
 * A directory that is gone stays for who is in it: there is nothing in it, nothing can be made in it, and `..` leads out of it.
 * `error`: what was said when it was looked for.
 */
static int is_gone(const struct node *node, int error)
{
	return S_ISDIR(node->mode) && (node->names == NULL ? node->id != FUSE_ROOT : error == ENOENT || error == ENOTDIR);
}

static void attributes_of_gone(const struct node *node, struct stat *st)
{
	*st = (struct stat){
		.st_ino = node->ino, .st_mode = node->mode, .st_uid = node->uid, .st_gid = node->gid, .st_size = node->size,
		.st_atim = node->mtime, .st_mtim = node->mtime, .st_ctim = node->mtime,
	};
}

int is_it(const struct node *node, const struct stat *st)
{
	return node->ino == st->st_ino && (node->mode & S_IFMT) == (st->st_mode & S_IFMT);
}

/* That another directory lies where the host had it: nothing is found in it any more, whoever has it open. */
static void leave_name(struct node *node)
{
	if (node->names != NULL)
		forget_name(node->names->parent, node->names->text);
}

/* Of a node, whether it still has a name or is only open. 0 or an errno. */
int attributes_of(struct node *node, struct stat *st)
{
	struct where at;
	int error = where_is(node, &at);

	if (error == 0)
		error = look(&at, st);
	if (error != 0 || !is_it(node, st)) {
		if (node->fd < 0 && is_gone(node, error)) {
			attributes_of_gone(node, st);
			return 0;
		}
		if (node->fd < 0)
			return error != 0 && error != ENOENT ? error : ESTALE;
		if (error == 0 && S_ISDIR(node->mode) && node->id != FUSE_ROOT) {
			leave_name(node);
			attributes_of_gone(node, st);
			return 0;
		}
		if (fstat(node->fd, st) != 0)
			return errno;
		st->st_nlink = S_ISDIR(node->mode) ? 0 : st->st_nlink - (st->st_nlink > 0);
	}
	remember(node, st);
	return 0;
}

static void leave_place(struct node *node)
{
	struct node **at = &places[node->place % BUCKETS];

	while (*at != node)
		at = &(*at)->same_place;
	*at = node->same_place;
}

void take_place(struct node *node, uint64_t place, int mount)
{
	node->place = place, node->mount = (uint8_t)mount;
	node->same_place = places[place % BUCKETS], places[place % BUCKETS] = node;
}

uint64_t place_of(const struct where *at)
{
	return hash_bytes(0xcbf29ce484222325ull ^ at->anchor->serial, at->path, strlen(at->path));
}

/* The next mount after `mount` where nobody has the path open; MOUNTS when there is none. */
static int free_mount(uint64_t place, int mount)
{
	while (++mount < MOUNTS) {
		struct node *node = places[place % BUCKETS];

		while (node != NULL && (node->place != place || node->mount != mount))
			node = node->same_place;
		if (node == NULL)
			break;
	}
	return mount;
}

/* Opens a path where nobody has it open. Gives the descriptor and the mount, or -1 with errno. */
int open_afresh(const struct where *where, uint64_t place, int flags, mode_t mode, int *mount)
{
	int at = LISTINGS, fd = -1, root;

	errno = EBUSY;
	while ((at = free_mount(place, at)) < MOUNTS) {
		root = mount_of(where->anchor, at);
		if (root < 0)
			return -1;
		fd = openat(root, where->path, flags | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC | O_NONBLOCK, mode);
		/* A directory above it that is open there may have become something else. */
		if (fd >= 0 || (errno != EISDIR && errno != ENOTDIR && errno != ELOOP && errno != ENOENT))
			break;
		if (at > LISTINGS + 2)
			break;
	}
	*mount = at;
	return fd;
}

/* Opens a node's file through a mount of its own for reading, or for both; what was open of it before is closed. 0 or an errno. */
static int open_anew(struct node *node, int flags)
{
	struct where at;
	struct stat st;
	uint64_t place;
	int mount, fd, error = where_is(node, &at);

	if (error != 0)
		return error;
	place = place_of(&at);
	fd = open_afresh(&at, place, (flags & O_ACCMODE) == O_RDONLY ? O_RDONLY : O_RDWR, 0, &mount);
	if (fd < 0 && errno == EACCES && (flags & O_ACCMODE) == O_WRONLY && node->fd < 0)
		fd = open_afresh(&at, place, O_WRONLY, 0, &mount);
	if (fd < 0)
		return errno == ENOENT ? ESTALE : errno;
	if (fstat(fd, &st) != 0 || !is_it(node, &st)) {
		close(fd);
		return ESTALE; /* the kernel looks its name up once more */
	}
	if (node->fd >= 0) {
		leave_place(node);
		close(node->fd);
	}
	take_place(node, place, mount);
	remember(node, &st);
	node->fd = fd, node->stale = 0, node->writable = (flags & O_ACCMODE) != O_RDONLY;
	return 0;
}

/* One that is gone is open without a descriptor. 0 or an errno. */
static int open_directory(struct node *node)
{
	struct where at;
	int error = where_is(node, &at), root;

	node->fd = -1;
	if (error != 0)
		return is_gone(node, error) ? 0 : error;
	root = mount_of(at.anchor, LISTINGS);
	node->fd = root < 0 ? -1 : openat(root, at.path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (node->fd < 0)
		return root >= 0 && is_gone(node, errno) ? 0 : errno;
	take_place(node, place_of(&at), LISTINGS);
	node->directories_moved = directories_moved, node->anchors_left = anchors_left;
	return 0;
}

/* hostfs lists by path: a directory that is open is opened again where its path may be another now. 0 or an errno. */
int open_again(struct node *node)
{
	int old = node->fd, error;

	if (node->directories_moved == directories_moved && node->anchors_left == anchors_left)
		return 0;
	leave_place(node);
	error = open_directory(node);
	if (error != 0 || node->fd < 0) {
		node->fd = old;
		take_place(node, node->place, LISTINGS);
		return error != 0 ? error : ENOENT;
	}
	close(old);
	return 0;
}

/* Has the node's file open for what `flags` ask, once more. 0 or an errno. */
int open_node(struct node *node, int flags)
{
	int error = 0;

	if (!S_ISDIR(node->mode) && !S_ISREG(node->mode))
		return EINVAL;
	if (S_ISDIR(node->mode) && (flags & O_ACCMODE) != O_RDONLY)
		return EISDIR;
	if (node->fd < 0 || ((flags & O_ACCMODE) != O_RDONLY && !node->writable))
		error = S_ISDIR(node->mode) ? open_directory(node) : open_anew(node, flags);
	if (error == 0)
		node->opens++;
	return error;
}

void close_node(struct node *node)
{
	if (node->opens == 0)
		return;
	if (--node->opens == 0 && node->fd >= 0) {
		leave_place(node);
		close(node->fd);
		node->fd = -1, node->writable = 0;
	}
	drop_node(node);
}

/* Before contents are read: what the host has changed since they were is let go of, and a new end of the file seen. */
void freshen(struct node *node)
{
	struct stat own;

	if (!node->stale)
		return;
	node->stale = 0;
	if (fstat(node->fd, &own) == 0 && own.st_size == node->size)
		posix_fadvise(node->fd, 0, 0, POSIX_FADV_DONTNEED);
	else
		open_anew(node, node->writable ? O_RDWR : O_RDONLY); /* where it cannot be, what was open goes on */
}

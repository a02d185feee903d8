/* Names: how files are found, made for who asks, moved and removed. */
#ifndef SHARE_NAMES_H
#define SHARE_NAMES_H

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "call.h"
#include "files.h"

static void fill(struct attributes *to, const struct stat *st)
{
	*to = (struct attributes){
		.ino = st->st_ino, .size = (uint64_t)st->st_size, .blocks = (uint64_t)st->st_blocks,
		.atime = (uint64_t)st->st_atim.tv_sec, .mtime = (uint64_t)st->st_mtim.tv_sec, .ctime = (uint64_t)st->st_ctim.tv_sec,
		.atime_ns = (uint32_t)st->st_atim.tv_nsec, .mtime_ns = (uint32_t)st->st_mtim.tv_nsec,
		.ctime_ns = (uint32_t)st->st_ctim.tv_nsec, .mode = st->st_mode, .links = (uint32_t)st->st_nlink,
		.uid = st->st_uid, .gid = st->st_gid, .device = (uint32_t)st->st_rdev, .block_size = BLOCK,
	};
}

/* Another name of a file that is known: the same file on the same disk, which its number alone does not say. */
static struct node *linked(const struct stat *st)
{
	struct node *node = inodes[st->st_ino % BUCKETS];
	char path[PATH_MAX];
	struct stat other;

	if (st->st_nlink < 2 || S_ISDIR(st->st_mode))
		return NULL;
	for (; node != NULL; node = node->same_ino)
		if (is_it(node, st) && path_of(node, NULL, path) == 0 && look(path, &other) == 0 && is_it(node, &other) &&
		    other.st_nlink == st->st_nlink && other.st_size == st->st_size && same_time(other.st_ctim, st->st_ctim))
			return node;
	return NULL;
}

/* The node behind a name, known from now on, and what the kernel is told of it. 0 or an errno. */
static int enter(struct node *parent, const char *text, const struct stat *st, struct entry_answer *to)
{
	struct name *name = find_name(parent, text);
	struct node *node = name != NULL && is_it(name->node, st) ? name->node : linked(st);

	if (node == NULL)
		node = new_node(st->st_ino, st->st_mode);
	if (node == NULL)
		return ENOMEM;
	if (give_name(node, parent, text) != 0) {
		drop_node(node);
		return ENOMEM;
	}
	remember(node, st);
	node->lookups++;
	*to = (struct entry_answer){.node = node->id, .entry_valid_ns = VALID_NS, .attr_valid_ns = VALID_NS};
	fill(&to->attr, st);
	return 0;
}

/* Looks a name up and answers with it; `call->node` is the directory. */
static int find(const struct call *call, const char *name, struct entry_answer *to)
{
	char path[PATH_MAX];
	struct stat st;
	int error = path_of(call->node, name, path);

	if (error == 0)
		error = look(path, &st);
	if (error == ENOENT || error == ENOTDIR)
		forget_name(call->node, name);
	return error != 0 ? error : enter(call->node, name, &st, to);
}

static int answer_entry(const struct call *call, const char *name)
{
	struct entry_answer entry;
	int error = find(call, name, &entry);

	if (error == 0 && !answer(call, 0, &entry, sizeof entry))
		forget(entry.node, 1);
	return error;
}

/* Of what is made in a directory. -1: the host has given it the right one. */
static gid_t group_for(const struct call *call)
{
	return call->node->mode & S_ISGID || call->head->gid == 0 ? (gid_t)-1 : call->head->gid;
}

/*
 * Gives a new file to who made it. Where the host cannot (a daemon of a user without ids to give), the file stays guest
 * root's, as on the other driver. Ids before modes, since a change of owner takes set-id bits away.
 */
static int bestow(const struct call *call, const char *path, int fd, mode_t mode)
{
	uid_t uid = call->head->uid;
	gid_t gid = group_for(call);

	if (uid != 0 || gid != (gid_t)-1) {
		int done = fd >= 0 ? fchown(fd, uid, gid) : fchownat(mounts[NAMES], path, uid, gid, AT_SYMLINK_NOFOLLOW);

		if (done != 0 && errno != EPERM && errno != EINVAL)
			return errno;
	}
	if (mode & 07000 && (fd >= 0 ? fchmod(fd, mode & 07777) : fchmodat(mounts[NAMES], path, mode & 07777, 0)) != 0)
		return errno;
	return 0;
}

static char hand_name[sizeof ".pk-share-" + 16];
static int hand = -1;

/*
 * hostfs has no way to change the owner of a symbolic link, but asks the host by name and does not look what has that name.
 * So a FIFO's name is kept open here after the FIFO is gone, and what is there when its owner is changed is a link.
 */
static int link_hand(void)
{
	uint64_t number;
	int root = mounts[NAMES], other = mount_root(LISTINGS);

	if (hand != -1)
		return hand;
	hand = -2; /* asked for once alone */
	if (other < 0 || syscall(SYS_getrandom, &number, sizeof number, 0) != sizeof number)
		return hand;
	snprintf(hand_name, sizeof hand_name, ".pk-share-%016llx", (unsigned long long)number);
	if (mknodat(root, hand_name, S_IFIFO, 0) == 0) {
		int fd = openat(other, hand_name, O_PATH | O_NOFOLLOW | O_CLOEXEC);

		if (unlinkat(root, hand_name, 0) == 0 && fd >= 0)
			hand = fd;
	}
	return hand;
}

/* Makes a symbolic link, in place of another where it `replaces` one. A user's own belongs to him where that can be. 0, or -1 with errno. */
static int place_link(const char *target, const char *path, uid_t uid, gid_t gid, int replaces)
{
	int root = mounts[NAMES];

	if ((replaces || uid != 0 || (gid != 0 && gid != (gid_t)-1)) && link_hand() >= 0 && symlinkat(target, root, hand_name) == 0) {
		if (fchownat(hand, "", uid, gid, AT_EMPTY_PATH) != 0 && replaces)
			goto failed;
		if (syscall(SYS_renameat2, root, hand_name, root, path, replaces ? 0 : KEEP_OTHERS) == 0)
			return 0;
failed:;
		int error = errno;

		unlinkat(root, hand_name, 0);
		if (replaces || error != EXDEV) {
			errno = error;
			return -1;
		}
	}
	return replaces ? (errno = EPERM, -1) : symlinkat(target, root, path);
}

static int make(const struct call *call, const char *name, mode_t mode, dev_t number, const char *target)
{
	int root = mounts[NAMES], done, fd, error;
	gid_t gid = call->head->gid;
	char path[PATH_MAX];
	struct stat st;

	error = path_of(call->node, name, path);
	if (error != 0)
		return error;
	if (S_ISLNK(mode) && call->node->mode & S_ISGID) {
		/* It is made elsewhere, and gets its group with its name. */
		error = attributes_of(call->node, &st);
		if (error != 0)
			return error;
		gid = st.st_gid;
	}
	if (S_ISREG(mode)) {
		fd = openat(root, path, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, mode & 0777);
		done = fd < 0 ? -1 : close(fd);
	} else if (S_ISDIR(mode)) {
		done = mkdirat(root, path, mode & 01777);
	} else if (S_ISLNK(mode)) {
		done = place_link(target, path, call->head->uid, gid, 0);
	} else {
		done = mknodat(root, path, mode & (S_IFMT | 0777), number);
	}
	if (done != 0)
		return errno;
	/* The host adds the bit below a directory that has it, and giving it away keeps it. */
	error = S_ISLNK(mode) ? 0 : bestow(call, path, -1, S_ISDIR(mode) ? mode & ~07000u : mode);
	if (error != 0) {
		unlinkat(root, path, S_ISDIR(mode) ? AT_REMOVEDIR : 0);
		return error;
	}
	return answer_entry(call, name);
}

static int read_link(const struct call *call)
{
	char path[PATH_MAX], target[PATH_MAX];
	int error = path_of(call->node, NULL, path);
	ssize_t n;

	if (error != 0)
		return error;
	n = readlinkat(mounts[NAMES], path, target, sizeof target - 1);
	if (n < 0)
		return errno;
	answer(call, 0, target, (size_t)n);
	return 0;
}

static int create(const struct call *call, const struct create_in *in, const char *name)
{
	struct { struct entry_answer entry; struct open_answer open; } both = {0};
	char path[PATH_MAX];
	struct node *node;
	uint64_t place;
	int mount, fd, error = path_of(call->node, name, path);

	if (error != 0)
		return error;
	place = place_of(path);
	fd = open_afresh(path, place, O_CREAT | O_EXCL | O_RDWR, in->mode & 0777, &mount);
	if (fd < 0) /* one that another made meanwhile: the kernel looks again, and checks its permissions */
		return errno == EEXIST && !(in->flags & O_EXCL) ? ESTALE : errno;
	error = bestow(call, path, fd, in->mode);
	if (error == 0)
		error = find(call, name, &both.entry);
	if (error != 0) {
		close(fd);
		unlinkat(mounts[NAMES], path, 0);
		return error;
	}
	node = node_of(both.entry.node);
	if (node->fd >= 0) { /* cannot be: the name was nobody's */
		close(fd);
	} else {
		take_place(node, place, mount);
		node->fd = fd, node->writable = 1, node->stale = 0;
	}
	node->opens++;
	if (!answer(call, 0, &both, sizeof both)) {
		close_node(node);
		forget(both.entry.node, 1);
	}
	return 0;
}

static int remove_name(const struct call *call, const char *name, int flags)
{
	char path[PATH_MAX];
	int error = path_of(call->node, name, path);

	if (error != 0)
		return error;
	if (unlinkat(mounts[NAMES], path, flags) != 0)
		return errno;
	forget_name(call->node, name);
	answer(call, 0, NULL, 0);
	return 0;
}

static int rename_file(const struct call *call, uint64_t directory, unsigned flags, const char *from, const char *to)
{
	struct node *parent = node_of(directory), *moved, *other;
	char old[PATH_MAX], new[PATH_MAX];
	struct name *name;
	int error;

	if (from == NULL || to == NULL)
		return errno;
	if (parent == NULL)
		return ESTALE;
	error = path_of(call->node, from, old);
	if (error == 0)
		error = path_of(parent, to, new);
	if (error != 0)
		return error;
	if (syscall(SYS_renameat2, mounts[NAMES], old, mounts[NAMES], new, flags) != 0)
		return errno;
	name = find_name(call->node, from);
	moved = name == NULL ? NULL : name->node;
	name = find_name(parent, to);
	other = name == NULL ? NULL : name->node;
	if (moved != other) {
		/* Both are held until both have their names. */
		if (moved != NULL)
			moved->children++;
		if (other != NULL)
			other->children++;
		forget_name(call->node, from);
		forget_name(parent, to);
		if (moved != NULL)
			give_name(moved, parent, to);
		if (other != NULL && flags & EXCHANGE_NAMES)
			give_name(other, call->node, from);
		if (moved != NULL)
			moved->children--, drop_node(moved);
		if (other != NULL)
			other->children--, drop_node(other);
	}
	answer(call, 0, NULL, 0);
	return 0;
}

static int link_file(const struct call *call, uint64_t id, const char *name)
{
	struct node *node = node_of(id);
	char from[PATH_MAX], to[PATH_MAX];
	struct entry_answer entry;
	struct stat st;
	int error;

	if (node == NULL)
		return EINVAL;
	error = path_of(node, NULL, from);
	if (error == 0)
		error = path_of(call->node, name, to);
	if (error != 0)
		return error == ESTALE ? ENOENT : error;
	if (linkat(mounts[NAMES], from, mounts[NAMES], to, 0) != 0)
		return errno;
	error = look(to, &st);
	if (error == 0 && is_it(node, &st))
		error = give_name(node, call->node, name);
	if (error == 0)
		error = enter(call->node, name, &st, &entry);
	if (error == 0 && !answer(call, 0, &entry, sizeof entry))
		forget(entry.node, 1);
	return error;
}

#endif

/* Makes files that belong to the user who asks. */
#include "make.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "anchors.h"
#include "call.h"
#include "files.h"
#include "lookup.h"
#include "nodes.h"
#include "protocol.h"

static char hand_name[sizeof ".pk-share-" + 16];

/* Of what is made in a directory. -1: the host has given it the right one. */
static gid_t group_for(const struct call *call)
{
	return call->node->mode & S_ISGID || call->head->gid == 0 ? (gid_t)-1 : call->head->gid;
}

/*
 * Gives a new file to who made it. Where the host cannot (a daemon of a user without ids to give), the file stays guest
 * root's, as on the other driver. Ids before modes, since a change of owner takes set-id bits away.
 */
static int bestow(const struct call *call, const struct where *at, int fd, mode_t mode)
{
	uid_t uid = call->head->uid;
	gid_t gid = group_for(call);
	int root = at->anchor->mounts[NAMES];

	if (uid != 0 || gid != (gid_t)-1) {
		int done = fd >= 0 ? fchown(fd, uid, gid) : fchownat(root, at->path, uid, gid, AT_SYMLINK_NOFOLLOW);

		if (done != 0 && errno != EPERM && errno != EINVAL)
			return errno;
	}
	if (mode & 07000 && (fd >= 0 ? fchmod(fd, mode & 07777) : fchmodat(root, at->path, mode & 07777, 0)) != 0)
		return errno;
	return 0;
}

/*
 * hostfs has no way to change the owner of a symbolic link, but asks the host by name and does not look what has that name.
 * So a FIFO's name is kept open here after the FIFO is gone, and what is there when its owner is changed is a link.
 */
static int link_hand(struct anchor *anchor)
{
	uint64_t number;
	int root = anchor->mounts[NAMES], other = mount_of(anchor, LISTINGS), fd;

	if (anchor->hand != 0)
		return anchor->hand;
	anchor->hand = -1; /* asked for once alone */
	if (other < 0 || (hand_name[0] == 0 && syscall(SYS_getrandom, &number, sizeof number, 0) != sizeof number))
		return -1;
	if (hand_name[0] == 0)
		snprintf(hand_name, sizeof hand_name, ".pk-share-%016llx", (unsigned long long)number);
	if (mknodat(root, hand_name, S_IFIFO, 0) == 0) {
		fd = openat(other, hand_name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		if (unlinkat(root, hand_name, 0) == 0 && fd >= 0)
			anchor->hand = fd;
		else if (fd >= 0)
			close(fd);
	}
	return anchor->hand;
}

/* Makes a symbolic link, in place of another where it `replaces` one. A user's own belongs to him where that can be. 0, or -1 with errno. */
int place_link(const char *target, const struct where *at, uid_t uid, gid_t gid, int replaces)
{
	int root = at->anchor->mounts[NAMES];

	if ((replaces || uid != 0 || (gid != 0 && gid != (gid_t)-1)) && link_hand(at->anchor) >= 0 && symlinkat(target, root, hand_name) == 0) {
		if (fchownat(at->anchor->hand, "", uid, gid, AT_EMPTY_PATH) != 0 && replaces)
			goto failed;
		if (syscall(SYS_renameat2, root, hand_name, root, at->path, replaces ? 0 : KEEP_OTHERS) == 0)
			return 0;
failed:;
		int error = errno;

		unlinkat(root, hand_name, 0);
		if (replaces || error != EXDEV) {
			errno = error;
			return -1;
		}
	}
	return replaces ? (errno = EPERM, -1) : symlinkat(target, root, at->path);
}

int make(const struct call *call, const char *name, mode_t mode, dev_t number, const char *target)
{
	int root, done, fd, error;
	gid_t gid = call->head->gid;
	struct where at;
	struct stat st;

	if (S_ISLNK(mode) && call->node->mode & S_ISGID) {
		/* It is made elsewhere, and gets its group with its name. */
		error = attributes_of(call->node, &st);
		if (error != 0)
			return error;
		gid = st.st_gid;
	}
	error = locate(call->node, name, &at);
	if (error != 0)
		return error;
	root = at.anchor->mounts[NAMES];
	if (S_ISREG(mode)) {
		fd = openat(root, at.path, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, mode & 0777);
		done = fd < 0 ? -1 : close(fd);
	} else if (S_ISDIR(mode)) {
		done = mkdirat(root, at.path, mode & 01777);
	} else if (S_ISLNK(mode)) {
		done = place_link(target, &at, call->head->uid, gid, 0);
	} else {
		done = mknodat(root, at.path, mode & (S_IFMT | 0777), number);
	}
	if (done != 0)
		return errno;
	/* The host adds the bit below a directory that has it, and giving it away keeps it. */
	error = S_ISLNK(mode) ? 0 : bestow(call, &at, -1, S_ISDIR(mode) ? mode & ~07000u : mode);
	if (error != 0) {
		unlinkat(root, at.path, S_ISDIR(mode) ? AT_REMOVEDIR : 0);
		return error;
	}
	return answer_entry(call, name);
}

int create(const struct call *call, const struct create_in *in, const char *name)
{
	struct { struct entry_answer entry; struct open_answer open; } both = {0};
	struct where at;
	struct node *node;
	uint64_t place;
	int mount, fd, error = locate(call->node, name, &at);

	if (error != 0)
		return error;
	place = place_of(&at);
	fd = open_afresh(&at, place, O_CREAT | O_EXCL | O_RDWR, in->mode & 0777, &mount);
	if (fd < 0) /* one that another made meanwhile: the kernel looks again, and checks its permissions */
		return errno == EEXIST && !(in->flags & O_EXCL) ? ESTALE : errno;
	error = bestow(call, &at, fd, in->mode);
	if (error == 0)
		error = find(call, name, &both.entry);
	if (error != 0) {
		close(fd);
		unlinkat(at.anchor->mounts[NAMES], at.path, 0);
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

/* Attributes of files that were found: owners, modes, times, lengths. */
#include "attributes.h"

#include <errno.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include "anchors.h"
#include "call.h"
#include "files.h"
#include "lookup.h"
#include "make.h"
#include "nodes.h"
#include "protocol.h"

/* Another link takes the place of this one. 0 or an errno. */
static int give_link(struct node *node, const struct where *at, uid_t uid, gid_t gid)
{
	char target[PATH_MAX];
	ssize_t length = readlinkat(at->anchor->mounts[NAMES], at->path, target, sizeof target - 1);
	struct stat st;
	int error;

	if (length < 0)
		return errno;
	error = look(at, &st);
	if (error != 0)
		return error;
	target[length] = 0;
	if (place_link(target, at, uid == (uid_t)-1 ? st.st_uid : uid, gid == (gid_t)-1 ? st.st_gid : gid, 1) != 0)
		return errno;
	error = look(at, &st);
	if (error == 0)
		renumber(node, st.st_ino);
	return error;
}

/* The host takes the bit away from who is not of the directory's group, but leaves it when the group is given away. 0 or an errno. */
static int set_group_bit(const struct where *at, mode_t mode)
{
	struct stat st;
	int root = at->anchor->mounts[NAMES], taken, error = look(at, &st);

	if (error != 0)
		return error;
	taken = st.st_gid != 0 && fchownat(root, at->path, (uid_t)-1, 0, 0) == 0;
	error = fchmodat(root, at->path, mode, 0) != 0 ? errno : 0;
	if (taken && fchownat(root, at->path, (uid_t)-1, st.st_gid, 0) != 0)
		return errno;
	return error;
}

/*
 * hostfs leaves a time as it is that is to become "now": it gets one by this kernel's clock. That of the host may be another
 * by little, but what a file was given last may not seem older than what the host wrote before: the host stamps each change
 * in whole seconds that we see, and the time is moved into that second. 0 or an errno.
 */
static int set_times(struct node *node, const struct where *at, const struct setattr_in *in)
{
	int fd = S_ISREG(node->mode) ? node->fd : -1, tries, error;
	struct timespec now;
	struct stat st;

	clock_gettime(CLOCK_REALTIME, &now);
	for (tries = 0; tries < 2; tries++) {
		struct timespec times[2] = {
			in->valid & SET_ATIME_NOW ? now : (struct timespec){(time_t)in->atime, in->valid & SET_ATIME ? (long)in->atime_ns : UTIME_OMIT},
			in->valid & SET_MTIME_NOW ? now : (struct timespec){(time_t)in->mtime, in->valid & SET_MTIME ? (long)in->mtime_ns : UTIME_OMIT},
		};

		if (fd >= 0 ? futimens(fd, times) : utimensat(at->anchor->mounts[NAMES], at->path, times, AT_SYMLINK_NOFOLLOW))
			return errno;
		if (!(in->valid & (SET_ATIME_NOW | SET_MTIME_NOW)))
			return 0;
		error = attributes_of(node, &st);
		if (error != 0 || st.st_ctime == now.tv_sec)
			return error;
		now = (struct timespec){st.st_ctime, now.tv_sec > st.st_ctime ? 999999000 : 0};
	}
	return 0;
}

int set_attributes(const struct call *call, const struct setattr_in *in)
{
	struct node *node = call->node;
	struct attr_answer out = {.attr_valid_ns = VALID_NS};
	int root, fd = S_ISREG(node->mode) ? node->fd : -1, error, size_by_path;
	struct where at;
	struct stat st;

	error = where_is(node, &at);
	if (error == 0 && fd < 0 && (error = look(&at, &st)) == 0 && !is_it(node, &st))
		error = ESTALE;
	if (error != 0 && fd < 0)
		return error;
	root = error != 0 ? -1 : at.anchor->mounts[NAMES];
	size_by_path = fd < 0 || !node->writable;
	if (in->valid & SET_SIZE) {
		int done;

		if (size_by_path && error != 0)
			return error;
		if (size_by_path) {
			int own = openat(root, at.path, O_WRONLY | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);

			done = own < 0 ? -1 : ftruncate(own, (off_t)in->size);
			error = errno;
			if (own >= 0)
				close(own);
			errno = error, error = 0;
			node->stale = 1;
		} else {
			done = ftruncate(fd, (off_t)in->size);
		}
		if (done != 0)
			return errno;
	}
	if (in->valid & (SET_UID | SET_GID)) {
		uid_t uid = in->valid & SET_UID ? in->uid : (uid_t)-1;
		gid_t gid = in->valid & SET_GID ? in->gid : (gid_t)-1;

		error = S_ISLNK(node->mode) ? give_link(node, &at, uid, gid) : (fd >= 0 ? fchown(fd, uid, gid) : fchownat(root, at.path, uid, gid, 0)) ? errno : 0;
		if (error != 0)
			return error;
	}
	if (in->valid & SET_MODE) {
		if (S_ISDIR(node->mode) && in->mode & S_ISGID) {
			error = set_group_bit(&at, in->mode & 07777);
			if (error != 0)
				return error;
		} else if (fd >= 0 ? fchmod(fd, in->mode & 07777) : fchmodat(root, at.path, in->mode & 07777, 0)) {
			return errno;
		}
	}
	if (in->valid & (SET_ATIME | SET_MTIME)) {
		error = set_times(node, &at, in);
		if (error != 0)
			return error;
	}
	error = attributes_of(node, &st);
	if (error != 0)
		return error;
	fill(&out.attr, &st);
	answer(call, 0, &out, sizeof out);
	return 0;
}

int get_attributes(const struct call *call)
{
	struct attr_answer out = {.attr_valid_ns = VALID_NS};
	struct stat st;
	int error = attributes_of(call->node, &st);

	if (error != 0)
		return error;
	fill(&out.attr, &st);
	answer(call, 0, &out, sizeof out);
	return 0;
}

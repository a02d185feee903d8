/* Attributes and contents: of files, directories and links that were found. */
#ifndef SHARE_CONTENTS_H
#define SHARE_CONTENTS_H

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "names.h"

static void tell_attributes(const struct node *node)
{
	struct { struct answer head; struct tell_inode body; } all = {
		{sizeof all, TELL_INODE, 0}, {node->id, -1, 0},
	};

	if (write(device, &all, sizeof all) < 0)
		return; /* the kernel does not have it in memory */
}

static uint32_t cache_flags(const struct node *node)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec - node->mtime.tv_sec > SETTLED_SECONDS ? OPEN_KEEP_CACHE : 0;
}

static int open_file(const struct call *call, int flags)
{
	struct open_answer out = {0};
	struct node *node = call->node;
	struct timespec mtime = node->mtime;
	int64_t size = node->size;
	int was_open = node->fd >= 0, error = open_node(node, flags);
	struct stat st;

	if (error != 0)
		return error;
	/* Who opens a file sees it as it is: the kernel may have known its end for VALID_NS. */
	if (S_ISREG(node->mode) && (!was_open || attributes_of(node, &st) == 0) && node->size != size)
		tell_attributes(node);
	if (flags & O_TRUNC && S_ISREG(node->mode)) {
		if (ftruncate(node->fd, 0) != 0) {
			error = errno;
			close_node(node);
			return error;
		}
		node->size = 0;
	} else if (S_ISREG(node->mode) && same_time(node->mtime, mtime)) {
		out.flags = cache_flags(node);
	}
	if (!answer(call, 0, &out, sizeof out))
		close_node(node);
	return 0;
}

static int read_file(const struct call *call, const struct transfer_in *in)
{
	ssize_t n;

	if (call->node->fd < 0 || !S_ISREG(call->node->mode))
		return EBADF;
	freshen(call->node);
	n = pread(call->node->fd, data, in->size < TRANSFER ? in->size : TRANSFER, (off_t)in->offset);
	if (n < 0)
		return errno;
	answer(call, 0, data, (size_t)n);
	return 0;
}

static int write_file(const struct call *call, const struct transfer_in *in)
{
	const unsigned char *from = (const unsigned char *)call->body + sizeof *in;
	struct write_answer out = {0};
	off_t offset = (off_t)in->offset;
	struct stat st;

	if (call->node->fd < 0 || !S_ISREG(call->node->mode) || in->size > call->bytes - sizeof *in)
		return EBADF;
	/* The kernel's idea of the end may be older than what the host has added. */
	if (in->flags & O_APPEND && attributes_of(call->node, &st) == 0 && st.st_size > offset)
		offset = st.st_size;
	while (out.size < in->size) {
		ssize_t n = pwrite(call->node->fd, from + out.size, in->size - out.size, offset + out.size);

		if (n <= 0) {
			if (out.size > 0)
				break;
			return n < 0 ? errno : EIO;
		}
		out.size += (uint32_t)n;
	}
	if (offset + out.size > call->node->size)
		call->node->size = offset + out.size;
	answer(call, 0, &out, sizeof out);
	return 0;
}

/* One name of a listing. Returns its bytes, 0 when `room` is too small for it. */
static size_t list_entry(const struct call *call, const struct dirent *from, int plus, unsigned char *to, size_t room)
{
	size_t length = strlen(from->d_name), head = plus ? sizeof(struct entry_answer) : 0;
	size_t bytes = (head + sizeof(struct entry) + length + 7) & ~(size_t)7;
	struct entry *entry = (void *)(to + head);
	int dots = !strcmp(from->d_name, ".") || !strcmp(from->d_name, "..");

	if (bytes > room)
		return 0;
	memset(to, 0, bytes);
	/* One that has gone meanwhile is told without attributes: the kernel asks when it needs them. */
	if (plus && !dots && find(call, from->d_name, (struct entry_answer *)to) != 0)
		memset(to, 0, head);
	entry->ino = from->d_ino, entry->offset = (uint64_t)from->d_off;
	entry->name_length = (uint32_t)length, entry->type = from->d_type;
	memcpy(entry->name, from->d_name, length);
	return bytes;
}

static void forget_listed(size_t used)
{
	for (size_t at = 0; at < used;) {
		const struct entry_answer *known = (const void *)(data + at);
		const struct entry *entry = (const void *)(known + 1);

		forget(known->node, 1);
		at += (sizeof *known + sizeof *entry + entry->name_length + 7) & ~(size_t)7;
	}
}

static int read_directory(const struct call *call, const struct transfer_in *in, int plus)
{
	static char listing[LISTING] __attribute__((aligned(8)));
	size_t room = in->size < TRANSFER ? in->size : TRANSFER, used = 0, most;
	long n;

	if (call->node->fd < 0 || !S_ISDIR(call->node->mode))
		return EBADF;
	if (lseek(call->node->fd, (off_t)in->offset, SEEK_SET) < 0)
		return errno;
	/* No more than there will be room for: what is left over is read once more. */
	most = plus ? room / 4 : room;
	n = syscall(SYS_getdents64, call->node->fd, listing, most < LARGEST_LISTED ? LARGEST_LISTED : most < LISTING ? most : LISTING);
	if (n < 0)
		return errno;
	for (long at = 0; at < n;) {
		struct dirent *entry = (void *)(listing + at);
		size_t bytes = list_entry(call, entry, plus, data + used, room - used);

		if (bytes == 0)
			break;
		used += bytes, at += entry->d_reclen;
	}
	if (!answer(call, 0, data, used) && plus)
		forget_listed(used);
	return 0;
}

/* Another link takes the place of this one. 0 or an errno. */
static int give_link(struct node *node, const char *path, uid_t uid, gid_t gid)
{
	char target[PATH_MAX];
	ssize_t length = readlinkat(mounts[NAMES], path, target, sizeof target - 1);
	struct stat st;

	if (length < 0 || look(path, &st) != 0)
		return errno;
	target[length] = 0;
	if (place_link(target, path, uid == (uid_t)-1 ? st.st_uid : uid, gid == (gid_t)-1 ? st.st_gid : gid, 1) != 0 || look(path, &st) != 0)
		return errno;
	renumber(node, st.st_ino);
	return 0;
}

/* The host takes the bit away from who is not of the directory's group, but leaves it when the group is given away. 0 or an errno. */
static int set_group_bit(const char *path, mode_t mode)
{
	struct stat st;
	int root = mounts[NAMES], taken, error = look(path, &st);

	if (error != 0)
		return error;
	taken = st.st_gid != 0 && fchownat(root, path, (uid_t)-1, 0, 0) == 0;
	error = fchmodat(root, path, mode, 0) != 0 ? errno : 0;
	if (taken && fchownat(root, path, (uid_t)-1, st.st_gid, 0) != 0)
		return errno;
	return error;
}

/*
 * hostfs leaves a time as it is that is to become "now": it gets one by this kernel's clock. That of the host may be another
 * by little, but what a file was given last may not seem older than what the host wrote before: the host stamps each change
 * in whole seconds that we see, and the time is moved into that second. 0 or an errno.
 */
static int set_times(struct node *node, const char *path, const struct setattr_in *in)
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

		if (fd >= 0 ? futimens(fd, times) : utimensat(mounts[NAMES], path, times, AT_SYMLINK_NOFOLLOW))
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

static int set_attributes(const struct call *call, const struct setattr_in *in)
{
	struct node *node = call->node;
	struct attr_answer out = {.attr_valid_ns = VALID_NS};
	int root = mounts[NAMES], fd = S_ISREG(node->mode) ? node->fd : -1, error, size_by_path;
	char path[PATH_MAX];
	struct stat st;

	error = path_of(node, NULL, path);
	if (error == 0 && fd < 0 && (error = look(path, &st)) == 0 && !is_it(node, &st))
		error = ESTALE;
	if (error != 0 && fd < 0)
		return error;
	size_by_path = fd < 0 || !node->writable;
	if (in->valid & SET_SIZE) {
		int done;

		if (size_by_path && error != 0)
			return error;
		if (size_by_path) {
			int own = openat(root, path, O_WRONLY | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);

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

		error = S_ISLNK(node->mode) ? give_link(node, path, uid, gid) : (fd >= 0 ? fchown(fd, uid, gid) : fchownat(root, path, uid, gid, 0)) ? errno : 0;
		if (error != 0)
			return error;
	}
	if (in->valid & SET_MODE) {
		if (S_ISDIR(node->mode) && in->mode & S_ISGID) {
			error = set_group_bit(path, in->mode & 07777);
			if (error != 0)
				return error;
		} else if (fd >= 0 ? fchmod(fd, in->mode & 07777) : fchmodat(root, path, in->mode & 07777, 0)) {
			return errno;
		}
	}
	if (in->valid & (SET_ATIME | SET_MTIME)) {
		error = set_times(node, path, in);
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

static int get_attributes(const struct call *call)
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

#endif

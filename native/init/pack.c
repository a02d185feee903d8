/*
 * `pk-init pack PATH NAME`: a tree of files as a tar archive. What is below PATH is named from its directory, and no link there
 * followed. Further names of a file are links to its first, of as many files as there is room to remember.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "tar.h"

enum { SMALL = 1024 * 1024 }; /* of a file that does not say how long it is, as those of procfs, or says more than it has, as those of sysfs */

enum { FIRSTS = 16384, NAMES = 1024 * 1024 };

static u8 gathered[65536], *small;
static size_t count;
static char member[PATH]; /* of the archive, which a failure names too */

/* The first name in the archive of each file that has several, one behind the other in `names`. */
static struct { dev_t dev; ino_t ino; u32 name; } *firsts;
static char *names;
static u32 first_count, names_used;

static void flush(void)
{
	for (size_t at = 0; at < count;) {
		ssize_t n = write(1, gathered + at, count - at);
		if (n < 0 && errno != EINTR) tar_fail(errno, "the archive");
		if (n > 0) at += (size_t)n;
	}
	count = 0;
}

static void put(const void *from, size_t n)
{
	for (const u8 *p = from; n;) {
		size_t step = n < sizeof gathered - count ? n : sizeof gathered - count;
		memcpy(gathered + count, p, step);
		count += step, p += step, n -= step;
		if (count == sizeof gathered) flush();
	}
}

static void pad(u64 size)
{
	static const u8 zeros[BLOCK];
	put(zeros, (BLOCK - size % BLOCK) % BLOCK);
}

static void header(char type, const char *name, const char *link, const struct stat *st, u64 size)
{
	struct tar_header h = {.type = type, .magic = "ustar  "};
	memcpy(h.name, name, strnlen(name, sizeof h.name));
	memcpy(h.link, link, strnlen(link, sizeof h.link));
	tar_put(h.mode, sizeof h.mode, st->st_mode & 07777);
	tar_put(h.uid, sizeof h.uid, st->st_uid), tar_put(h.gid, sizeof h.gid, st->st_gid);
	tar_put(h.size, sizeof h.size, size);
	tar_put(h.mtime, sizeof h.mtime, (u64)st->st_mtime);
	if (type == '3' || type == '4') tar_put(h.major, sizeof h.major, major(st->st_rdev)), tar_put(h.minor, sizeof h.minor, minor(st->st_rdev));
	tar_put(h.sum, sizeof h.sum - 1, tar_sum(&h));
	h.sum[7] = ' ';
	put(&h, sizeof h);
}

static void long_name(char type, const char *name)
{
	static const struct stat none;
	size_t n = strlen(name) + 1;
	if (n <= 100) return;
	header(type, "././@LongLink", "", &none, n);
	put(name, n);
	pad(n);
}

static void entry(char type, const char *link, const struct stat *st, u64 size)
{
	long_name('K', link), long_name('L', member);
	header(type, member, link, st, size);
}

/* Holes and what the file lost meanwhile are zeros; what it gained is left out. */
static void content(int fd, u64 size)
{
	static u8 part[65536];
	for (u64 left = size; left;) {
		size_t most = left < sizeof part ? (size_t)left : sizeof part;
		ssize_t n = read(fd, part, most);
		if (n < 0 && errno == EINTR) continue;
		if (n < 0) tar_fail(errno, member);
		if (!n) memset(part, 0, most);
		put(part, n ? (size_t)n : most);
		left -= n ? (u64)n : most;
	}
	pad(size);
}

/* What the kernel shows of itself is not copied with a tree that it is mounted in. */
static int is_view(int fd)
{
	static const u32 views[] = {0x9fa0 /* proc */, 0x62656572 /* sysfs */, 0x63677270 /* cgroup2 */, 0x1cd1 /* devpts */, 0x64626720 /* debugfs */, 0x74726163 /* tracefs */};
	struct statfs s;
	if (fstatfs(fd, &s)) return 0;
	for (size_t i = 0; i < sizeof views / sizeof *views; i++)
		if ((u32)s.f_type == views[i]) return 1;
	return 0;
}

/* The name under which this file is in the archive already; else it is remembered. By where it hashes to, and what comes behind. */
static const char *first_name(const struct stat *st)
{
	if (st->st_nlink < 2) return NULL;
	size_t length = strlen(member) + 1;
	for (u32 i = 0, at = (u32)(st->st_ino * 2654435761u ^ st->st_dev) % FIRSTS; i < FIRSTS; i++, at = (at + 1) % FIRSTS) {
		if (firsts[at].ino == st->st_ino && firsts[at].dev == st->st_dev) return names + firsts[at].name;
		if (firsts[at].ino) continue;
		if (first_count == FIRSTS - 1 || length > NAMES - names_used) return NULL;
		firsts[at].dev = st->st_dev, firsts[at].ino = st->st_ino, firsts[at].name = names_used;
		memcpy(names + names_used, member, length);
		names_used += (u32)length, first_count++;
		return NULL;
	}
	return NULL;
}

static void file(int fd, const struct stat *st)
{
	const char *first = first_name(st);
	u64 says = (u64)st->st_size, most = says && says < SMALL ? says : SMALL;
	size_t size = 0;
	if (first) {
		entry('1', first, st, 0);
		return;
	}
	if (says > SMALL && !is_view(fd)) {
		entry('0', "", st, says);
		content(fd, says);
		return;
	}
	for (ssize_t n = 1; n > 0 && size < most;) {
		n = read(fd, small + size, most - size);
		if (n < 0 && errno == EINTR) n = 1;
		else if (n < 0 && errno != EAGAIN) tar_fail(errno, member);
		else if (n > 0) size += (size_t)n;
	}
	if (size == SMALL && says != SMALL) tar_fail(EFBIG, member);
	entry('0', "", st, size);
	put(small, size);
	pad(size);
}

static void walk(int at, const char *name, int flags, dev_t parent);

static void directory(int fd, const struct stat *st, dev_t parent)
{
	size_t n = strlen(member);
	if (n + 2 > sizeof member) tar_fail(ENAMETOOLONG, member);
	strcpy(member + n, "/");
	entry('5', "", st, 0);
	DIR *open = st->st_dev != parent && is_view(fd) ? NULL : fdopendir(fd);
	if (!open) {
		close(fd);
		member[n] = 0;
		return;
	}
	for (struct dirent *d; (errno = 0, d = readdir(open));) {
		if (!strcmp(d->d_name, ".") || !strcmp(d->d_name, "..")) continue;
		if (n + 1 + strlen(d->d_name) + 1 >= sizeof member) tar_fail(ENAMETOOLONG, member);
		strcpy(member + n + 1, d->d_name);
		walk(dirfd(open), d->d_name, O_NOFOLLOW, st->st_dev);
	}
	member[n + (errno != 0)] = 0;
	if (errno) tar_fail(errno, member);
	closedir(open);
}

/* `flags`: O_NOFOLLOW or 0. What goes away meanwhile was not there. */
static void walk(int at, const char *name, int flags, dev_t parent)
{
	char link[PATH];
	struct stat st;
	if (fstatat(at, name, &st, flags ? AT_SYMLINK_NOFOLLOW : 0)) {
		if (errno == ENOENT && flags) return;
		tar_fail(errno, flags ? member : name);
	}
	if (!flags && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		tar_refuse(S_ISSOCK(st.st_mode) ? "a socket" : S_ISFIFO(st.st_mode) ? "a FIFO" : "a device");
	switch (st.st_mode & S_IFMT) {
	case S_IFLNK: {
		ssize_t n = readlinkat(at, name, link, sizeof link - 1);
		if (n < 0) tar_fail(errno, member);
		link[n] = 0;
		entry('2', link, &st, 0);
		return;
	}
	case S_IFCHR: entry('3', "", &st, 0); return;
	case S_IFBLK: entry('4', "", &st, 0); return;
	case S_IFIFO: entry('6', "", &st, 0); return;
	case S_IFSOCK: return; /* archives have none */
	}
	int fd = openat(at, name, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | flags);
	if (fd < 0 && errno == ENOENT && flags) return;
	if (fd < 0 || fstat(fd, &st)) tar_fail(errno, flags ? member : name);
	if (S_ISDIR(st.st_mode)) {
		directory(fd, &st, flags ? parent : st.st_dev);
		return;
	}
	if (S_ISREG(st.st_mode)) file(fd, &st);
	close(fd);
}

int pack(const char *path, const char *name)
{
	static const u8 end[2 * BLOCK];
	if (strlen(name) + 2 > sizeof member) tar_fail(ENAMETOOLONG, name);
	strcpy(member, name);
	/* Not of every agent: in the smallest guest the kernel starts none that takes more than the whole memory. */
	small = malloc(SMALL), firsts = calloc(FIRSTS, sizeof *firsts), names = malloc(NAMES);
	if (!small || !firsts || !names) tar_fail(ENOMEM, "the archive");
	walk(AT_FDCWD, path, 0, 0);
	put(end, sizeof end);
	flush();
	return 0;
}

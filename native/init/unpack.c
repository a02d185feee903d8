/*
 * `pk-init unpack PATH NAME WORDS`: the archive on standard input, below the directory PATH as NAME, or in it where NAME is empty.
 * Where there is no PATH it is what is made, in the directory that it is to be in. WORDS: `d`, PATH has to be a directory; `o`,
 * owners and the bits of set-id programs are kept, which else are root's and none. No member follows a link: what lies below was
 * not chosen by who copies. The member `.` is what PATH becomes, a file perhaps.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "tar.h"

enum { RECORDS = 65536 }; /* of a pax header that says something of the next member */

struct member {
	struct tar_header header;
	char name[PATH], link[PATH];
	u64 size, left; /* of its content, and what is not read yet, its padding with it */
};

static struct member m;
static char records[RECORDS];
static int base, keeps_owners;
static const char *whole; /* the path that a file with the name `.` replaces; NULL: there is none */
static const char *unmade; /* `PATH/` where nothing is: a directory may become that */

static size_t read_up_to(void *to, size_t n)
{
	size_t got = 0;
	while (got < n) {
		ssize_t step = read(0, (u8 *)to + got, n - got);
		if (step < 0 && errno == EINTR) continue;
		if (step < 0) tar_fail(errno, "the archive");
		if (!step) break;
		got += (size_t)step;
	}
	return got;
}

static void read_exactly(void *to, size_t n)
{
	if (read_up_to(to, n) != n) tar_fail(0, "the archive is cut short");
}

static void skip(u64 n)
{
	static u8 part[65536];
	for (size_t step; n; n -= step) read_exactly(part, step = n < sizeof part ? (size_t)n : sizeof part);
}

static u64 padded(u64 size) { return (size + BLOCK - 1) / BLOCK * BLOCK; }

static void take_text(char *to, const char *from, size_t most)
{
	size_t n = strnlen(from, most);
	if (n >= PATH) tar_fail(ENAMETOOLONG, "a name in the archive");
	memcpy(to, from, n);
	to[n] = 0;
}

/* `LENGTH KEY=VALUE\n`, each with its own length in front. */
static void read_records(size_t n, int *has_size)
{
	for (char *at = records, *end = records + n; at < end;) {
		char *word;
		size_t length = strtoul(at, &word, 10);
		if (*word != ' ' || length <= (size_t)(word - at) + 1 || length > (size_t)(end - at)) tar_fail(0, "the archive is damaged: a pax header is no list of records");
		char *value = memchr(word, '=', length - (size_t)(word - at));
		size_t rest = value ? length - (size_t)(value + 1 - at) - 1 : 0;
		if (value && !strncmp(word, " path=", 6)) take_text(m.name, value + 1, rest);
		if (value && !strncmp(word, " linkpath=", 10)) take_text(m.link, value + 1, rest);
		if (value && !strncmp(word, " size=", 6)) m.size = strtoull(value + 1, NULL, 10), *has_size = 1;
		at += length;
	}
}

/* 0 at the end of the archive. */
static int next_member(void)
{
	int has_size = 0;
	m.name[0] = m.link[0] = 0, m.size = 0;
	for (;;) {
		struct tar_header *h = &m.header;
		size_t got = read_up_to(h, BLOCK);
		if (!got || (got == BLOCK && !h->name[0] && tar_sum(h) == 8 * ' ')) return 0;
		if (got != BLOCK) tar_fail(0, "the archive is cut short");
		if (tar_get(h->sum, sizeof h->sum) != tar_sum(h)) tar_fail(0, "this is no tar archive, or a damaged or compressed one");
		u64 size = tar_get(h->size, sizeof h->size);
		if (!strchr("LKxg", h->type) || !h->type) {
			if (!has_size) m.size = size;
			m.left = strchr("123456", h->type) && h->type ? 0 : padded(m.size);
			int prefixed = !memcmp(h->magic, "ustar", 6) && h->prefix[0];
			if (!m.name[0]) {
				char name[sizeof h->prefix + 1 + sizeof h->name + 1];
				snprintf(name, sizeof name, "%.155s%s%.100s", prefixed ? h->prefix : "", prefixed ? "/" : "", h->name);
				take_text(m.name, name, sizeof name);
			}
			if (!m.link[0]) take_text(m.link, h->link, sizeof h->link);
			return 1;
		}
		if (size >= RECORDS) tar_fail(0, "the archive is damaged: a header is too long");
		read_exactly(records, size);
		records[size] = 0;
		skip(padded(size) - size);
		if (h->type == 'L') take_text(m.name, records, size);
		else if (h->type == 'K') take_text(m.link, records, size);
		else if (h->type == 'x') read_records(size, &has_size);
	}
}

/* The last part of `path`, in *parent, a directory to be closed; NULL for `.`. What leads there is made where it is not there. */
static const char *place(char *path, int *parent)
{
	int at = dup(base);
	char *name = NULL;
	for (char *part = strtok(path, "/"); part; part = strtok(NULL, "/")) {
		if (!strcmp(part, ".")) continue;
		if (!strcmp(part, "..")) tar_fail(0, "the archive has a name with `..`, which is not followed");
		if (name) {
			int below = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
			if (below < 0 && errno == ENOENT && !mkdirat(at, name, 0755)) below = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
			if (below < 0) tar_fail(errno, name);
			close(at);
			at = below;
		}
		name = part;
	}
	*parent = at;
	return name;
}

static void become(int fd)
{
	mode_t mode = (mode_t)tar_get(m.header.mode, sizeof m.header.mode);
	u64 mtime = tar_get(m.header.mtime, sizeof m.header.mtime);
	struct timespec times[2] = {{.tv_nsec = UTIME_NOW}, {.tv_sec = mtime < LONG_MAX ? (time_t)mtime : 0}};
	uid_t uid = (uid_t)tar_get(m.header.uid, sizeof m.header.uid), gid = (uid_t)tar_get(m.header.gid, sizeof m.header.gid);
	if (keeps_owners && fchown(fd, uid, gid)) tar_fail(errno, m.name);
	if (fchmod(fd, mode & (keeps_owners ? 07777 : 01777))) tar_fail(errno, m.name);
	futimens(fd, times);
}

static void write_content(int fd)
{
	static u8 part[65536];
	for (u64 left = m.size; left;) {
		size_t step = left < sizeof part ? (size_t)left : sizeof part, done = 0;
		read_exactly(part, step);
		while (done < step) {
			ssize_t n = write(fd, part + done, step - done);
			if (n < 0 && errno != EINTR) tar_fail(errno, m.name);
			if (n > 0) done += (size_t)n;
		}
		left -= step, m.left -= step;
	}
}

static void put_file(int parent, const char *name)
{
	int fd = -1;
	if (!name) {
		if (!whole) tar_fail(EISDIR, m.name);
		fd = open(whole, O_WRONLY | O_TRUNC | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	} else {
		/* One that something is mounted on can not be replaced, but filled. */
		int busy = unlinkat(parent, name, 0) && errno == EBUSY;
		fd = openat(parent, name, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | (busy ? O_TRUNC : O_CREAT | O_EXCL), 0600);
	}
	struct stat st;
	if (fd < 0 || fstat(fd, &st)) tar_fail(errno, name ? m.name : whole);
	write_content(fd);
	if (S_ISREG(st.st_mode)) become(fd);
	if (close(fd)) tar_fail(errno, m.name);
}

static void put_directory(int parent, const char *name)
{
	if (!name) {
		if (whole) tar_fail(ENOTDIR, whole);
		return; /* what was there keeps its mode */
	}
	if (mkdirat(parent, name, 0755) && errno != EEXIST) tar_fail(errno, m.name);
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) tar_fail(errno, m.name);
	become(fd);
	close(fd);
}

static void put_other(int parent, const char *name, const char *prefix)
{
	char type = m.header.type;
	u64 device = makedev(tar_get(m.header.major, 8), tar_get(m.header.minor, 8));
	if (!name) tar_fail(EISDIR, m.name);
	unlinkat(parent, name, 0);
	if (type == '1') {
		char path[2 * PATH];
		int from;
		snprintf(path, sizeof path, "%s/%s", prefix, m.link);
		const char *link = place(path, &from);
		if (!link || linkat(from, link, parent, name, 0)) tar_fail(errno, m.name);
		close(from);
		return;
	}
	/* Made with its mode: whoever owns the directory could put a link in its place before it was changed by name. */
	mode_t mode = (type == '3' ? S_IFCHR : type == '4' ? S_IFBLK : S_IFIFO) | (tar_get(m.header.mode, 8) & 0777);
	if (type == '2' ? symlinkat(m.link, parent, name) : mknodat(parent, name, mode, device)) tar_fail(errno, m.name);
	uid_t uid = (uid_t)tar_get(m.header.uid, sizeof m.header.uid), gid = (uid_t)tar_get(m.header.gid, sizeof m.header.gid);
	if (keeps_owners && fchownat(parent, name, uid, gid, AT_SYMLINK_NOFOLLOW)) tar_fail(errno, m.name);
}

static void put_member(const char *prefix)
{
	char path[2 * PATH];
	int parent;
	snprintf(path, sizeof path, "%s/%s", prefix, m.name);
	const char *name = place(path, &parent);
	if (whole && name) tar_fail(ENOTDIR, whole);
	if (unmade && m.header.type != '5') tar_fail(ENOENT, unmade);
	unmade = NULL;
	switch (m.header.type) {
	case '0': case '7': case 0: put_file(parent, name); break;
	case '5': put_directory(parent, name); break;
	case '1': case '2': case '3': case '4': case '6': put_other(parent, name, prefix); break;
	default: tar_fail(ENOTSUP, m.name);
	}
	close(parent);
	skip(m.left);
}

int unpack(const char *path, const char *name, const char *words)
{
	static u8 rest[65536];
	static char parent[PATH];
	struct stat st;
	size_t n = strlen(path);
	int absent = stat(path, &st) && errno == ENOENT;
	if (n >= sizeof parent) tar_fail(ENAMETOOLONG, path);
	umask(0);
	keeps_owners = strchr(words, 'o') != NULL;
	if (!absent && !S_ISDIR(st.st_mode)) whole = path, name = "";
	if (strchr(words, 'd') && (absent || whole)) tar_fail(absent ? ENOENT : ENOTDIR, path);
	strcpy(parent, path);
	if (absent || whole) {
		while (n > 1 && parent[n - 1] == '/') parent[--n] = 0;
		char *last = strrchr(parent, '/');
		if (absent) name = path + (last - parent) + 1;
		if (absent && strlen(path) > n) unmade = path;
		last[last == parent] = 0;
	}
	if ((base = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) tar_fail(errno, parent);
	while (next_member()) put_member(name);
	while (read_up_to(rest, sizeof rest)) {}
	return 0;
}

/*
 * `pk-init unpack PATH NAME WORDS`: the archive on standard input, below the directory PATH as NAME, or in it where NAME is empty.
 * Where there is no PATH it is what is made, in the directory that it is to be in. WORDS: `d`, PATH has to be a directory; `o`,
 * owners and the bits of set-id programs are kept, which else are root's and none. No member follows a link: what lies below was
 * not chosen by who copies. The member `.` is what PATH becomes, a file perhaps. A file gets its name once it is whole, and a
 * directory its time once all that follows it in the archive and is in it is there.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "partial.h"
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
static char base_path[PATH], shown[4 * PATH]; /* where that is, and the member that is made, for who reads of a failure */
static const char *whole; /* the path that a file with the name `.` replaces; NULL: there is none */
static const char *whole_name; /* what that is called in `base`; NULL: it keeps its place, since it has other names or is a device */
static struct stat was; /* and what it is */
static char inside[2 * PATH]; /* the directory that was made last, and with it those that it is in: */
static struct { size_t length; time_t time; mode_t mode; } open_directories[PATH / 2];
static size_t depth;
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
	if (n >= PATH) {
		snprintf(shown, sizeof shown, "%s/%.1000s", base_path, from);
		tar_fail(ENAMETOOLONG, shown);
	}
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
			if (below < 0) tar_fail(errno, shown);
			close(at);
			at = below;
		}
		name = part;
	}
	*parent = at;
	return name;
}

/* The same of a member's path. The directory is not to be closed: mostly the next member is in it, too. */
static const char *place_of_member(char *path, int *parent)
{
	static char way[2 * PATH];
	static int known = -1;
	size_t n = strlen(path);
	while (n && path[n - 1] == '/') path[--n] = 0;
	char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	size_t length = slash ? (size_t)(slash - path) : 0;
	int is_plain = length && *name && strcmp(name, ".") && strcmp(name, "..");
	if (is_plain && known >= 0 && strlen(way) == length && !memcmp(way, path, length)) {
		*parent = known;
		return name;
	}
	if (known >= 0) close(known);
	memcpy(way, path, length);
	way[is_plain ? length : 0] = 0;
	const char *last = place(path, parent);
	known = *parent;
	return last;
}

static time_t mtime(void) { return (time_t)tar_get(m.header.mtime, sizeof m.header.mtime); }

/* Of fd where there is no name. A time that cannot be set is no reason to fail. */
static void set_time(int fd, const char *name, time_t seconds)
{
	struct timespec times[2] = {{.tv_nsec = UTIME_NOW}, {.tv_sec = seconds}};
	if (name) utimensat(fd, name, times, AT_SYMLINK_NOFOLLOW);
	else futimens(fd, times);
}

/* What lies there has other owners alone: those of a map, or of few bits. */
_Noreturn static void fail_owner(uid_t uid, gid_t gid)
{
	if (errno != EINVAL && errno != EOVERFLOW) tar_fail(errno, shown);
	char text[sizeof shown + 32];
	snprintf(text, sizeof text, "owner=%u:%u %s", uid, gid, shown);
	tar_fail(0, text);
}

static void become(int fd)
{
	mode_t mode = (mode_t)tar_get(m.header.mode, sizeof m.header.mode);
	uid_t uid = (uid_t)tar_get(m.header.uid, sizeof m.header.uid), gid = (uid_t)tar_get(m.header.gid, sizeof m.header.gid);
	if (keeps_owners && fchown(fd, uid, gid)) fail_owner(uid, gid);
	if (fchmod(fd, mode & (keeps_owners ? 07777 : 01777))) tar_fail(errno, shown);
	set_time(fd, NULL, mtime());
}

#define FILE_BLOCK 4096

/* How much of `bytes` are blocks of nothing but zeros, or with `zeros` 0 others. */
static size_t run_of(const u8 *bytes, size_t n, int zeros)
{
	size_t at = 0;
	while (at < n) {
		size_t block = n - at < FILE_BLOCK ? n - at : FILE_BLOCK;
		int is_hole = !bytes[at] && !memcmp(bytes + at, bytes + at + 1, block - 1);
		if (is_hole != zeros) break;
		at += block;
	}
	return at;
}

/* Of a file that is empty: a block of nothing but zeros takes no room in it. */
static void write_content(int fd, int is_file)
{
	static u8 part[65536];
	int ends_in_hole = 0;
	for (u64 left = m.size; left;) {
		size_t step = left < sizeof part ? (size_t)left : sizeof part;
		read_exactly(part, step);
		for (size_t done = 0, hole, end; done < step;) {
			hole = is_file ? run_of(part + done, step - done, 1) : 0;
			if (hole && lseek(fd, (off_t)hole, SEEK_CUR) < 0) tar_fail(errno, shown);
			done += hole;
			ends_in_hole = done == step;
			end = done + (is_file ? run_of(part + done, step - done, 0) : step - done);
			while (done < end) {
				ssize_t n = write(fd, part + done, end - done);
				if (n < 0 && errno != EINTR) tar_fail(errno, shown);
				if (n > 0) done += (size_t)n;
			}
		}
		left -= step, m.left -= step;
	}
	if (ends_in_hole && ftruncate(fd, lseek(fd, 0, SEEK_CUR))) tar_fail(errno, shown);
}

/* What is there already is filled: the file that the user has named, or one that something is mounted on. */
static void fill(int parent, const char *name)
{
	int flags = O_WRONLY | O_TRUNC | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
	int fd = name ? openat(parent, name, flags | O_NOFOLLOW) : open(whole, flags);
	struct stat st;
	if (fd < 0 || fstat(fd, &st)) tar_fail(errno, name ? shown : whole);
	write_content(fd, S_ISREG(st.st_mode));
	if (S_ISREG(st.st_mode)) become(fd);
	if (close(fd)) tar_fail(errno, shown);
}

static int is_mounted_on(int parent, const char *name)
{
	u64 all[32]; /* struct statx, which musl does not carry: its attributes are word 1, and one of them STATX_ATTR_MOUNT_ROOT */
	return !syscall(SYS_statx, parent, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, 0, all) && all[1] & 0x2000;
}

static void put_file(int parent, const char *name)
{
	int is_whole = !name;
	if (is_whole && !whole) tar_fail(EISDIR, shown);
	if (is_whole) name = whole_name;
	if (!name || is_mounted_on(parent, name)) {
		fill(parent, is_whole ? NULL : name);
		return;
	}
	int fd = partial_open(parent, 0600);
	if (is_whole && (fd < 0 || fchown(fd, was.st_uid, was.st_gid)) && (errno == EACCES || errno == EPERM || errno == EROFS)) {
		if (fd >= 0) close(fd);
		partial_forget();
		fill(parent, NULL);
		return;
	}
	if (fd < 0) tar_fail(errno, shown);
	write_content(fd, 1);
	become(fd);
	if (close(fd) || partial_name(name)) tar_fail(errno, shown);
}

/* `path`: as the archive has it. */
static void put_directory(int parent, const char *name, const char *path)
{
	if (!name) {
		if (whole) tar_fail(ENOTDIR, whole);
		return; /* what was there keeps its mode */
	}
	if (mkdirat(parent, name, 0755) && errno != EEXIST) tar_fail(errno, shown);
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) tar_fail(errno, shown);
	become(fd);
	/* What it is to hold comes yet, and not everybody who unpacks may write where the owner may not. */
	mode_t mode = (mode_t)tar_get(m.header.mode, sizeof m.header.mode) & (keeps_owners ? 07777 : 01777);
	if (depth < PATH / 2 && (mode & 0700) != 0700 && fchmod(fd, mode | 0700)) tar_fail(errno, shown);
	close(fd);
	if (depth == PATH / 2) return;
	size_t n = strlen(path);
	while (n && path[n - 1] == '/') n--;
	memcpy(inside, path, n);
	inside[n] = 0;
	open_directories[depth].length = n, open_directories[depth].time = mtime(), open_directories[depth++].mode = mode;
}

/* Those that `path` is not in have all they get, if the archive has the content of a directory behind it. "" ends all. */
static void leave_directories(const char *path)
{
	for (size_t n; depth && (strncmp(path, inside, n = open_directories[depth - 1].length) || path[n] != '/');) {
		int parent;
		inside[n] = 0;
		char way[2 * PATH];
		const char *name = place(strcpy(way, inside), &parent);
		time_t time = open_directories[--depth].time;
		mode_t mode = open_directories[depth].mode;
		int fd = name && (mode & 0700) != 0700 ? openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
		if (fd >= 0 && fchmod(fd, mode)) tar_fail(errno, inside);
		if (fd >= 0) close(fd);
		if (name) set_time(parent, name, time);
		close(parent);
	}
}

static void put_other(int parent, const char *name, const char *prefix)
{
	char type = m.header.type;
	u64 device = makedev(tar_get(m.header.major, 8), tar_get(m.header.minor, 8));
	if (!name) tar_fail(EISDIR, shown);
	unlinkat(parent, name, 0);
	if (type == '1') {
		char path[2 * PATH];
		int from;
		snprintf(path, sizeof path, "%s/%s", prefix, m.link);
		const char *link = place(path, &from);
		if (!link || linkat(from, link, parent, name, 0)) tar_fail(link ? errno : EINVAL, shown);
		close(from);
		return;
	}
	/* Made with its mode: whoever owns the directory could put a link in its place before it was changed by name. */
	mode_t kind = type == '3' ? S_IFCHR : type == '4' ? S_IFBLK : S_IFIFO;
	/* A device opens this kernel to whoever may open it: as with set-id bits, what somebody else's archive says of that does not count. */
	mode_t mode = kind | (tar_get(m.header.mode, 8) & (keeps_owners || kind == S_IFIFO ? 0777 : 0600));
	if (type == '2' ? symlinkat(m.link, parent, name) : mknodat(parent, name, mode, device)) tar_fail(errno, shown);
	uid_t uid = (uid_t)tar_get(m.header.uid, sizeof m.header.uid), gid = (uid_t)tar_get(m.header.gid, sizeof m.header.gid);
	if (keeps_owners && fchownat(parent, name, uid, gid, AT_SYMLINK_NOFOLLOW)) fail_owner(uid, gid);
	set_time(parent, name, mtime());
}

static void put_member(const char *prefix)
{
	char path[2 * PATH], way[2 * PATH];
	int parent;
	snprintf(path, sizeof path, "%s/%s", prefix, m.name);
	leave_directories(path);
	snprintf(shown, sizeof shown, "%s/%s", whole ? whole : base_path, whole ? "." : path);
	const char *name = place_of_member(strcpy(way, path), &parent);
	if (whole && name) tar_fail(ENOTDIR, whole);
	if (unmade && m.header.type != '5') tar_fail(ENOENT, unmade);
	unmade = NULL;
	switch (m.header.type) {
	case '0': case '7': case 0: put_file(parent, name); break;
	case '5': put_directory(parent, name, path); break;
	case '1': case '2': case '3': case '4': case '6': put_other(parent, name, prefix); break;
	default: tar_fail(ENOTSUP, shown);
	}
	skip(m.left);
}

int unpack(const char *path, const char *name, const char *words)
{
	static u8 rest[65536];
	static char last_name[PATH];
	char *parent = base_path;
	size_t n = strlen(path);
	int absent = stat(path, &was) && errno == ENOENT;
	if (n >= sizeof base_path) tar_fail(ENAMETOOLONG, path);
	umask(0);
	keeps_owners = strchr(words, 'o') != NULL;
	if (!absent && !S_ISDIR(was.st_mode)) whole = path, name = "";
	if (strchr(words, 'd') && (absent || whole)) tar_fail(absent ? ENOENT : ENOTDIR, path);
	strcpy(parent, path);
	if (whole && S_ISREG(was.st_mode) && was.st_nlink == 1 && realpath(path, parent)) {
		whole_name = strcpy(last_name, strrchr(parent, '/') + 1);
		n = strlen(parent);
	}
	if (absent || whole) {
		while (n > 1 && parent[n - 1] == '/') parent[--n] = 0;
		char *last = strrchr(parent, '/');
		if (absent) name = path + (last - parent) + 1;
		if (absent && strlen(path) > n) unmade = path;
		last[last == parent] = 0;
	}
	if ((base = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) tar_fail(errno, parent);
	/* Who sent the archive may be gone in the middle of it: that is seen at its end, and what is half done taken back. */
	signal(SIGHUP, SIG_IGN);
	tar_failing = partial_forget;
	while (next_member()) put_member(name);
	leave_directories("");
	while (read_up_to(rest, sizeof rest)) {}
	return 0;
}

/*
 * pk-cell: the last step of the host before a jail. Makes the namespaces that a jail is built in and the trees it shows,
 * then becomes PROGRAM (bubblewrap). docs/shim.md is its contract. Any step that fails ends it with status 125.
 *
 * As root it stays root, in a mount namespace of its own; a user namespace for the guest is open as descriptor GUEST_FD,
 * for pk-jail to enter. As an ordinary user it is root of a user namespace in which PROGRAM stays.
 *
 * A tree is opened once, component by component, following no symbolic link, and cloned from that descriptor: what is
 * shown is what was looked at, whatever happens to the path meanwhile.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define GUEST_FD 64
#define TREES_MAX 64
#define SKIPS_MAX 256
#define MOUNTS_MAX 4096
#define STAGE "trees"
#define REPORT "unmapped"

/* From linux/mount.h and linux/fcntl.h, which musl lacks. */
#define OPEN_TREE 428
#define MOVE_MOUNT 429
#define MOUNT_SETATTR 442
#define CLOSE_RANGE 436
#define OPEN_TREE_CLONE_FLAG 1
#define OPEN_TREE_CLOEXEC_FLAG O_CLOEXEC
#define MOVE_MOUNT_F_EMPTY 0x04
#define MOVE_MOUNT_T_EMPTY 0x40
#define RECURSIVE 0x8000
#define ATTR_RDONLY 0x01
#define ATTR_NOSUID 0x02
#define ATTR_NODEV 0x04
#define ATTR_IDMAP 0x00100000

struct mount_attributes {
	uint64_t set, clear, propagation, userns;
};

/* An id outside that is `first` inside, and how many follow. */
struct range {
	unsigned long inside, outside, count;
};

struct tree {
	const char *name, *access, *mapping, *expected, *path;
	dev_t device; /* what was found there, */
	ino_t inode; /* by check_tree */
};

static struct tree trees[TREES_MAX];
static const char *skips[SKIPS_MAX];
static char stage[4096];
static int tree_count, skip_count, report_fd = -1;
static unsigned long base, count;

static void fail(const char *format, ...)
{
	va_list list;
	int error = errno;

	fputs("pk-cell: ", stderr);
	va_start(list, format);
	vfprintf(stderr, format, list);
	va_end(list);
	if (error)
		fprintf(stderr, ": %s", strerror(error));
	fputc('\n', stderr);
	exit(125);
}

#define REFUSE(...) (errno = 0, fail(__VA_ARGS__))

static unsigned long number(const char *what, const char *text)
{
	char *end;
	unsigned long value;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (end == text || *end != 0 || errno != 0 || *text == '-' || value > 0xffffffffu)
		REFUSE("%s: %s is not a number up to 4294967295", what, text);
	return value;
}

static void write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		fail("%s", path);
	close(fd);
}

/* ---- user namespaces ---- */

/* A user namespace that nobody is in, with one range of ids for users and one for groups. */
static int mapping_namespace(struct range uids, struct range gids)
{
	char path[64], text[64], byte = 0;
	int go[2], fd;
	pid_t child;

	if (pipe2(go, O_CLOEXEC) != 0)
		fail("pipe");
	child = fork();
	if (child < 0)
		fail("fork");
	if (child == 0) {
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || unshare(CLONE_NEWUSER) != 0)
			byte = (char)errno;
		(void)!write(go[1], &byte, 1);
		for (;;)
			pause();
	}
	if (read(go[0], &byte, 1) != 1 || byte != 0) {
		errno = byte;
		fail("making a user namespace");
	}
	close(go[0]), close(go[1]);
	snprintf(path, sizeof path, "/proc/%d/uid_map", (int)child);
	snprintf(text, sizeof text, "%lu %lu %lu\n", uids.inside, uids.outside, uids.count);
	write_text(path, text);
	snprintf(path, sizeof path, "/proc/%d/gid_map", (int)child);
	snprintf(text, sizeof text, "%lu %lu %lu\n", gids.inside, gids.outside, gids.count);
	write_text(path, text);
	snprintf(path, sizeof path, "/proc/%d/ns/user", (int)child);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		fail("%s", path);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	return fd;
}

static void run_mapper(const char *program, const char *pid, unsigned long own, unsigned long start, unsigned long length)
{
	char numbers[6][24];
	int status;
	pid_t child;

	snprintf(numbers[0], sizeof *numbers, "0"), snprintf(numbers[1], sizeof *numbers, "%lu", own);
	snprintf(numbers[2], sizeof *numbers, "1"), snprintf(numbers[3], sizeof *numbers, "1");
	snprintf(numbers[4], sizeof *numbers, "%lu", start), snprintf(numbers[5], sizeof *numbers, "%lu", length);
	child = fork();
	if (child == 0) {
		execl(program, program, pid, numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], numbers[5], (char *)NULL);
		fail("%s", program);
	}
	if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
		REFUSE("%s refused the ids %lu to %lu", program, start, start + length - 1);
}

/*
 * Enters a user namespace in which the caller is root. `mappers`: UIDMAP,GIDMAP,UID,COUNT,GID,COUNT, the two set-uid
 * programs and the ids that /etc/subuid and /etc/subgid give; without them the caller's own ids are all there is.
 */
static void become_root_inside(char *mappers)
{
	unsigned long uid = getuid(), gid = getgid();
	char text[64], pid[16], byte = 0;
	int go[2], status;
	pid_t helper = -1;

	snprintf(pid, sizeof pid, "%d", (int)getpid());
	if (pipe2(go, O_CLOEXEC) != 0)
		fail("pipe");
	if (mappers != NULL && (helper = fork()) == 0) {
		char *save = NULL, *uid_program = strtok_r(mappers, ",", &save), *gid_program = strtok_r(NULL, ",", &save);
		unsigned long ids[4];

		for (int i = 0; i < 4; i++) {
			char *item = strtok_r(NULL, ",", &save);

			if (item == NULL)
				REFUSE("--subids: UIDMAP,GIDMAP,UID,COUNT,GID,COUNT are wanted");
			ids[i] = number("--subids", item);
		}
		close(go[1]);
		if (read(go[0], &byte, 1) != 1)
			_exit(125);
		run_mapper(uid_program, pid, uid, ids[0], ids[1]);
		run_mapper(gid_program, pid, gid, ids[2], ids[3]);
		_exit(0);
	}
	if (unshare(CLONE_NEWUSER) != 0)
		fail("making a user namespace (see `pk doctor`)");
	if (mappers != NULL) {
		if (helper < 0 || write(go[1], &byte, 1) != 1 || waitpid(helper, &status, 0) != helper || status != 0)
			exit(125);
	} else {
		write_text("/proc/self/setgroups", "deny");
		snprintf(text, sizeof text, "0 %lu 1\n", uid);
		write_text("/proc/self/uid_map", text);
		snprintf(text, sizeof text, "0 %lu 1\n", gid);
		write_text("/proc/self/gid_map", text);
	}
	close(go[0]), close(go[1]);
	if (setresgid(0, 0, 0) != 0 || setresuid(0, 0, 0) != 0)
		fail("becoming root of the user namespace");
}

/* ---- trees ---- */

/* Only we can change what is in this directory, and root. */
static int is_ours(const struct stat *st, unsigned long us)
{
	return (st->st_uid == 0 || st->st_uid == us) && (st->st_mode & 022) == 0;
}

/*
 * Opens an absolute path without following any link. *sheltered: whether nobody but us and root can put something else
 * in its place. Returns an O_PATH descriptor.
 */
static int open_path(const char *path, int *sheltered)
{
	int at = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC), next;
	char part[256];
	struct stat st;

	*sheltered = 1;
	if (*path != '/' || at < 0)
		REFUSE("%s is not an absolute path", path);
	for (;;) {
		size_t length;

		path += strspn(path, "/");
		length = strcspn(path, "/");
		if (length == 0)
			return at;
		if (length >= sizeof part) {
			errno = ENAMETOOLONG;
			return -1;
		}
		memcpy(part, path, length);
		part[length] = 0;
		path += length;
		if (strcmp(part, "..") == 0 || strcmp(part, ".") == 0) {
			errno = EINVAL;
			return -1;
		}
		if (fstat(at, &st) != 0 || !is_ours(&st, getuid()))
			*sheltered = 0;
		next = openat(at, part, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		if (next >= 0 && fstat(next, &st) == 0 && S_ISLNK(st.st_mode)) {
			close(next);
			next = -1;
			errno = ELOOP;
		}
		close(at);
		if (next < 0)
			return -1;
		at = next;
	}
}

static int open_tree_path(const struct tree *tree, struct stat *st, int *sheltered)
{
	int fd = open_path(tree->path, sheltered);

	if (fd < 0 && errno == ELOOP)
		REFUSE("refused: a part of %s is a symbolic link now", tree->path);
	if (fd < 0 || fstat(fd, st) != 0)
		fail("refused: %s", tree->path);
	return fd;
}

/*
 * Whether a path still names what was accepted: UID,INODE as they were then; "-" = whatever is there. Before there are
 * any namespaces, for the owners of directories are all the same in one that knows a single user.
 */
static void check_tree(struct tree *tree)
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
		REFUSE("refused: %s is neither a directory nor a file", tree->path);
	if (strcmp(tree->expected, "-") == 0)
		return;
	uid = strtoul(tree->expected, &end, 10);
	if (*end != ',')
		REFUSE("%s: UID,INODE is wanted", tree->expected);
	inode = strtoull(end + 1, &end, 10);
	if (st.st_uid != uid)
		REFUSE("refused: %s belonged to user %lu when it was given, and belongs to user %lu now", tree->path, uid, (unsigned long)st.st_uid);
	if (st.st_ino != inode && !sheltered)
		REFUSE("refused: %s is another file or directory than the one that was given, and others can write where it lies", tree->path);
}

static void report_plain(const struct tree *tree, const char *path, int error)
{
	dprintf(report_fd, "%s %s %s: %s\n", tree->name, tree->access, path, strerror(error));
}

/* Read-only where asked, without devices and set-uid programs, and known to no other mount namespace. */
static void set_attributes(const struct tree *tree, int fd, int flags)
{
	struct mount_attributes attributes = {ATTR_NOSUID | ATTR_NODEV, 0, MS_PRIVATE, 0};

	if (strcmp(tree->access, "ro") == 0)
		attributes.set |= ATTR_RDONLY;
	if (syscall(MOUNT_SETATTR, fd, "", AT_EMPTY_PATH | flags, &attributes, sizeof attributes) != 0)
		fail("attributes of %s", tree->path);
}

/* A mount of its own of what `fd` names, with the owners of `userns` if that is one; then `path` is told where it cannot be. */
static int clone_mount(const struct tree *tree, const char *path, int fd, int userns, int flags)
{
	int clone = (int)syscall(OPEN_TREE, fd, "", AT_EMPTY_PATH | OPEN_TREE_CLONE_FLAG | OPEN_TREE_CLOEXEC_FLAG | flags);
	struct mount_attributes attributes = {ATTR_IDMAP, 0, 0, (uint64_t)userns};

	if (clone < 0)
		fail("cloning %s", path);
	set_attributes(tree, clone, flags);
	if (userns >= 0 && syscall(MOUNT_SETATTR, clone, "", AT_EMPTY_PATH, &attributes, sizeof attributes) != 0)
		report_plain(tree, path, errno);
	return clone;
}

static void attach(const struct tree *tree, int clone, const char *below)
{
	char place[4352];
	int target, sheltered;

	snprintf(place, sizeof place, STAGE "/%s%s", tree->name, below);
	target = *below == 0 ? open(place, O_PATH | O_NOFOLLOW | O_CLOEXEC) : -1;
	if (*below != 0) {
		char absolute[8704];

		snprintf(absolute, sizeof absolute, "%s/%s%s", stage, tree->name, below);
		target = open_path(absolute, &sheltered);
	}
	if (target < 0 || syscall(MOVE_MOUNT, clone, "", target, "", MOVE_MOUNT_F_EMPTY | MOVE_MOUNT_T_EMPTY) != 0)
		fail("showing %s at %s", tree->path, place);
	close(target);
	close(clone);
}

static int is_below(const char *path, const char *directory)
{
	size_t length = strlen(directory);

	if (length == 1)
		return 1;
	return strncmp(path, directory, length) == 0 && (path[length] == '/' || path[length] == 0);
}

/* The stage itself is part of a tree that holds our directory. */
static int is_skipped(const char *path)
{
	if (is_below(path, stage))
		return 1;
	for (int i = 0; i < skip_count; i++)
		if (is_below(path, skips[i]))
			return 1;
	return 0;
}

/* \040 and the like, as proc(5) mountinfo writes spaces, tabs, line ends and backslashes. */
static void unescape(char *text)
{
	char *out = text;

	while (*text != 0) {
		if (text[0] == '\\' && text[1] >= '0' && text[1] <= '3' && text[2] >= '0' && text[2] <= '7' && text[3] >= '0' && text[3] <= '7') {
			*out++ = (char)((text[1] - '0') * 64 + (text[2] - '0') * 8 + text[3] - '0');
			text += 4;
		} else {
			*out++ = *text++;
		}
	}
	*out = 0;
}

/* What is mounted below a tree, each with its owners mapped by itself: one that cannot be must not spoil the rest. */
static void attach_mounts_below(const struct tree *tree, int userns)
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	static char *below[MOUNTS_MAX];
	char *line = NULL;
	size_t room = 0;
	int found = 0, sheltered;

	if (file == NULL)
		fail("/proc/self/mountinfo");
	while (getline(&line, &room, file) > 0) {
		char *save = NULL, *field = strtok_r(line, " ", &save);

		for (int i = 0; i < 4 && field != NULL; i++)
			field = strtok_r(NULL, " ", &save);
		if (field == NULL)
			continue;
		unescape(field);
		if (strcmp(field, tree->path) == 0 || strcmp(field, "/") == 0 || !is_below(field, tree->path) || is_skipped(field))
			continue;
		if (found == MOUNTS_MAX)
			REFUSE("%s: more than %d mounts lie below it", tree->path, MOUNTS_MAX);
		if ((below[found++] = strdup(field)) == NULL)
			fail("memory");
	}
	free(line);
	fclose(file);
	for (int i = 0; i < found; i++) {
		int fd = -1, seen = 0;

		for (int j = i + 1; j < found && !seen; j++)
			seen = is_below(below[i], below[j]);
		/* One that is mounted over later is out of sight. */
		if (!seen && (fd = open_path(below[i], &sheltered)) >= 0) {
			attach(tree, clone_mount(tree, below[i], fd, userns, 0), below[i] + (strlen(tree->path) == 1 ? 0 : strlen(tree->path)));
			close(fd);
		}
	}
	for (int i = 0; i < found; i++)
		free(below[i]);
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

static void show(const struct tree *tree, int guest)
{
	char place[512];
	struct stat st;
	int sheltered, fd, userns, made;

	fd = open_tree_path(tree, &st, &sheltered);
	if (st.st_dev != tree->device || st.st_ino != tree->inode)
		REFUSE("refused: %s was replaced just now", tree->path);
	snprintf(place, sizeof place, STAGE "/%s", tree->name);
	made = S_ISDIR(st.st_mode) ? mkdir(place, 0755) : open(place, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
	if (made < 0)
		fail("%s", place);
	if (!S_ISDIR(st.st_mode))
		close(made);
	userns = owners(tree, fd, guest);
	attach(tree, clone_mount(tree, tree->path, fd, userns, userns < 0 ? RECURSIVE : 0), "");
	if (userns >= 0 && S_ISDIR(st.st_mode))
		attach_mounts_below(tree, userns);
	if (userns >= 0 && userns != guest)
		close(userns);
	close(fd);
}

/* NAME,BYTES,INODES,MODE */
static void make_memory_files(char *text)
{
	char *save = NULL, *name = strtok_r(text, ",", &save), *bytes = strtok_r(NULL, ",", &save);
	char *inodes = strtok_r(NULL, ",", &save), *mode = strtok_r(NULL, ",", &save), place[512], options[256];

	if (mode == NULL)
		REFUSE("--memory-files: NAME,BYTES,INODES,MODE are wanted");
	snprintf(place, sizeof place, STAGE "/%s", name);
	snprintf(options, sizeof options, "size=%s,nr_inodes=%s,mode=%s", bytes, inodes, mode);
	if (mkdir(place, 0755) != 0 || mount("memory", place, "tmpfs", MS_NOSUID | MS_NODEV, options) != 0)
		fail("memory files at %s", place);
	/* They are the guest's own: of its root, where it has ids of its own. */
	if (count != 0 && chown(place, (uid_t)base, (gid_t)base) != 0)
		fail("owner of %s", place);
}

/* Everything from here on is seen by this process and what it starts alone. */
static void separate_mounts(void)
{
	if (mkdir(STAGE, 0700) != 0 && errno != EEXIST)
		fail("%s", STAGE);
	if (realpath(STAGE, stage) == NULL)
		fail("%s", STAGE);
	if (unshare(CLONE_NEWNS) != 0)
		fail("making a mount namespace");
	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
		fail("making mounts private");
	if (mount("trees", STAGE, "tmpfs", MS_NOSUID | MS_NODEV, "size=64k,nr_inodes=256,mode=0755") != 0)
		fail("%s", STAGE);
}

static void parse_range(char *text)
{
	char *comma = strchr(text, ',');

	if (comma == NULL)
		REFUSE("--range: BASE,COUNT are wanted");
	*comma = 0;
	base = number("--range", text);
	count = number("--range", comma + 1);
	if (base == 0 || count == 0 || base + count > 0xffffffffu)
		REFUSE("--range: these ids cannot be a guest's");
}

int main(int argc, char **argv)
{
	char *directory = NULL, *subids = NULL, *memory[8];
	int at, guest = -1, memories = 0, single = 0;

	for (at = 1; at < argc && strcmp(argv[at], "--") != 0; at++) {
		char *option = argv[at];
		int wanted = strcmp(option, "--single") == 0 ? 0 : strcmp(option, "--tree") == 0 ? 5 : 1;

		if (at + wanted >= argc)
			REFUSE("%s wants %d values", option, wanted);
		if (wanted == 0) {
			single = 1;
		} else if (strcmp(option, "--dir") == 0) {
			directory = argv[at + 1];
		} else if (strcmp(option, "--range") == 0) {
			parse_range(argv[at + 1]);
		} else if (strcmp(option, "--subids") == 0) {
			subids = argv[at + 1];
		} else if (strcmp(option, "--skip") == 0) {
			if (skip_count == SKIPS_MAX)
				REFUSE("--skip: too many");
			skips[skip_count++] = argv[at + 1];
		} else if (strcmp(option, "--memory-files") == 0) {
			if (memories == (int)(sizeof memory / sizeof *memory))
				REFUSE("--memory-files: too many");
			memory[memories++] = argv[at + 1];
		} else if (wanted == 5) {
			if (tree_count == TREES_MAX)
				REFUSE("--tree: too many");
			trees[tree_count++] = (struct tree){argv[at + 1], argv[at + 2], argv[at + 3], argv[at + 4], argv[at + 5], 0, 0};
		} else {
			REFUSE("unknown option %s", option);
		}
		at += wanted;
	}
	if (at + 1 >= argc || (count != 0) + (subids != NULL) + single != 1)
		REFUSE("usage: pk-cell --range BASE,COUNT|--subids LIST|--single [--dir DIR [--tree NAME ro|rw plain|mapped|owned "
		       "EXPECTED PATH] [--skip PATH] [--memory-files NAME,BYTES,INODES,MODE]] -- PROGRAM ARG...");
	for (int i = 0; i < tree_count; i++)
		check_tree(&trees[i]);
	if (count == 0)
		become_root_inside(subids);
	if (directory != NULL) {
		if (chdir(directory) != 0)
			fail("%s", directory);
		unlink(REPORT);
		report_fd = open(REPORT, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (report_fd < 0)
			fail("%s", REPORT);
		separate_mounts();
		umask(0);
		if (count != 0)
			guest = mapping_namespace((struct range){0, base, count}, (struct range){0, base, count});
		for (int i = 0; i < memories; i++)
			make_memory_files(memory[i]);
		for (int i = 0; i < tree_count; i++)
			show(&trees[i], guest);
		umask(022);
	}
	if (guest >= 0 && dup2(guest, GUEST_FD) != GUEST_FD)
		fail("the guest's user namespace");
	execv(argv[at + 1], argv + at + 1);
	fail("%s", argv[at + 1]);
}

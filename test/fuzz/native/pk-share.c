/*
 * pk-share's requests, over files that it only thinks are there: what a name stands for follows from its letters and from how
 * often it was asked for. An input is a list of LENGTH(2) OPERATION NODE BODY; at its end all is forgotten, and nothing may be left.
 */
#include "harness.h"

#include <dirent.h>
#include <limits.h>
#include <sched.h>
#include <stdarg.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <time.h>

/* What takes the place of a call does not look at all its arguments. */
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wunused-variable"
#pragma GCC diagnostic ignored "-Wunused-value"

#define fstatat(at, path, st, flags) fake_look(path, st)
#define fstat(fd, st) fake_look((fd) == 1001 ? "d" : opened, st)
#define openat(at, path, ...) fake_open(path)
#define open(...) fake_mount()
#define close(fd) fake_close(fd)
#define mount(...) 0
#define umount2(...) 0
#define mkdirat(...) fake()
#define mknodat(...) fake()
#define symlinkat(...) fake()
#define unlinkat(...) fake()
#define linkat(...) fake()
#define fchownat(...) fake()
#define fchmodat(...) fake()
#define fchown(...) fake()
#define fchmod(...) fake()
#define ftruncate(...) fake()
#define futimens(...) fake()
#define utimensat(...) fake()
#define posix_fadvise(...) fake()
#define fsync(...) fake()
#define fdatasync(...) fake()
#define lseek(...) fake()
#define pread(fd, to, size, at) (memset(to, 1, (size) / 2), (ssize_t)((size) / 2))
#define pwrite(fd, from, size, at) fake_write(from, size)
#define readlinkat(at, path, to, size) (memset(to, 'l', 9), 9)
#define fstatfs(fd, st) (memset(st, 0, sizeof *(st)), 0)
#define syscall(...) fake_call(__VA_ARGS__)
#define writev(fd, parts, count) fake_answer(parts, count)
#define write(fd, from, size) ((ssize_t)(size))

static const char *opened = "root";
static unsigned turn, descriptors;

static int fake(void)
{
	errno = ENOENT;
	return ++turn % 7 == 0 ? -1 : 0;
}

static int fake_look(const char *path, struct stat *st)
{
	const char *leaf = strrchr(path, '/');
	unsigned char first = (unsigned char)*(leaf == NULL ? path : leaf + 1);

	memset(st, 0, sizeof *st);
	if (++turn % 11 == 0)
		return errno = ENOENT, -1;
	st->st_ino = first % 5 + (turn % 13 == 0);
	st->st_nlink = first % 3 + 1;
	st->st_mode = (first == 'd' || !strcmp(path, ".") ? S_IFDIR : first == 'l' ? S_IFLNK : first == 'f' ? S_IFIFO : S_IFREG) | 02755;
	st->st_size = S_ISDIR(st->st_mode) ? 4096 : turn % 3;
	return 0;
}

static int fake_open(const char *path)
{
	static char last[8192];

	if (++turn % 17 == 0)
		return errno = EACCES, -1;
	if (strlen(path) < sizeof last)
		opened = strcpy(last, path);
	descriptors++;
	return 1000;
}

/* Of the root of a mount, which is a directory. */
static int fake_mount(void)
{
	if (++turn % 23 == 0)
		return errno = EACCES, -1;
	descriptors++;
	return 1001;
}

static int fake_close(int fd)
{
	must((fd == 1000 || fd == 1001) && descriptors > 0, "what is closed was open");
	descriptors--;
	return 0;
}

static ssize_t fake_write(const unsigned char *from, size_t size)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < size; i++)
		sum += from[i];
	__asm__ volatile("" : : "r"(sum));
	return ++turn % 5 == 0 ? -1 : (ssize_t)size;
}

static long fake_call(long number, ...)
{
	static struct { uint64_t ino, offset; uint16_t length; uint8_t type; char name[13]; } entries[] = {
		{1, 1, 32, 4, "."}, {1, 2, 32, 4, ".."}, {2, 3, 32, 8, "a"}, {3, 4, 32, 4, "dir"}, {4, 5, 32, 10, "link"}, {5, 6, 32, 10, "9"},
	};
	static int ended;
	va_list list;

	va_start(list, number);
	if (number == SYS_getdents64 && (ended = !ended) == 0) {
		va_end(list);
		return 0;
	}
	if (number == SYS_getdents64) {
		entries[5].name[0] = (char)('1' + ++turn % 9);
		va_arg(list, int);
		memcpy(va_arg(list, char *), entries, sizeof entries);
		va_end(list);
		return sizeof entries;
	}
	if (number == SYS_getrandom) {
		memset(va_arg(list, void *), 7, 8);
		va_end(list);
		return 8;
	}
	va_end(list);
	return fake();
}

static ssize_t fake_answer(const struct iovec *parts, int count)
{
	uint32_t length, sum = 0;
	size_t all = 0;

	for (int i = 0; i < count; i++) {
		for (size_t at = 0; at < parts[i].iov_len; at++)
			sum += ((const unsigned char *)parts[i].iov_base)[at];
		all += parts[i].iov_len;
	}
	memcpy(&length, parts[0].iov_base, sizeof length);
	must(length == all, "an answer is as long as it says");
	__asm__ volatile("" : : "r"(sum));
	return ++turn % 19 == 0 ? -1 : (ssize_t)all;
}

/* Few, and near each other. */
#define ANCHORS 4
#define LEVELS 2
#define BYTES 64
#define HIGHEST_NUMBER 64
#include "../../../native/share/anchors.c"
#include "../../../native/share/attributes.c"
#include "../../../native/share/call.c"
#include "../../../native/share/contents.c"
#include "../../../native/share/files.c"
#include "../../../native/share/listing.c"
#include "../../../native/share/lookup.c"
#include "../../../native/share/make.c"
#include "../../../native/share/names.c"
#include "../../../native/share/nodes.c"
#include "../../../native/share/requests.c"

static void one(const uint8_t *input, size_t size)
{
	static struct node *root;

	if (root == NULL) {
		root = new_node(1, S_IFDIR | 0755);
		must(root != NULL && root->id == FUSE_ROOT, "the root is the first");
		anchors->node = root, root->anchor = anchors;
		for (int i = 0; i < MOUNTS; i++)
			anchors->mounts[i] = 1001;
		anchors->hand = 1000;
		strcpy(hand_name, "hand");
	}
	turn = size > 0 ? input[size - 1] : 0, descriptors = 0;
	while (size >= 4) {
		size_t body = input[0] | (size_t)input[1] << 8;
		struct request head = {.operation = input[2], .node = input[3], .unique = 1, .uid = 1000, .gid = 1000};
		/* A block of just this size. */
		unsigned char *whole;

		input += 4, size -= 4;
		if (body > size)
			body = size;
		head.length = (uint32_t)(sizeof head + body);
		whole = malloc(head.length);
		memcpy(whole, &head, sizeof head);
		memcpy(whole + sizeof head, input, body);
		input += body, size -= body;
		serve(whole, head.length);
		free(whole);
	}
	for (uint32_t id = FUSE_ROOT; id < nodes_used; id++) {
		while (node_of(id) != NULL && nodes[id]->opens > 0)
			close_node(nodes[id]);
		if (node_of(id) != NULL)
			forget(id, UINT64_MAX);
	}
	for (uint32_t id = FUSE_ROOT + 1; id < nodes_used; id++)
		must(node_of(id) == NULL, "what is forgotten is free");
	if (vmm >= 0)
		close(vmm);
	vmm = -1;
	must(root->children == 0 && descriptors == 0, "nothing is left");
	root->names = NULL, root->stale = 0;
	nodes_used = FUSE_ROOT + 1, spare_count = 0; /* the next has the same numbers */
}

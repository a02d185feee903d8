/* Shows what is mounted below a tree with it, but for interfaces of the host's kernel. */
#include "below.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../common/fail.h"
#include "answers.h"
#include "paths.h"
#include "trees.h"

#define MOUNTS_MAX 4096

static struct {
	char *path;
	uint64_t mount; /* as in mountinfo */
	int is_patient; /* it, or what it lies in, may not answer */
} below[MOUNTS_MAX];
static char *left_out[MOUNTS_MAX];
static int below_count, left_out_count;

/* What a tree lies in is not skipped in that. */
static int is_skipped(const struct tree *tree, const char *path)
{
	for (int i = 0; i < skip_count; i++)
		if (is_below(skips[i], tree->path) && is_below(path, skips[i]))
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

/* Through which the host's kernel and its devices are looked at: src/driver/jail/other-mounts.ts has the same. */
static int is_kernel_interface(const char *type)
{
	static const char *const types[] = {
		"proc", "sysfs", "devtmpfs", "devpts", "cgroup", "cgroup2", "debugfs", "tracefs", "securityfs", "configfs", "bpf", "mqueue",
		"efivarfs", "pstore", "fusectl", "binfmt_misc", "nfsd", "rpc_pipefs",
	};

	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		if (strcmp(type, types[i]) == 0)
			return 1;
	return 0;
}

/* An empty file over what is no directory. */
static void cover_file(const struct tree *tree, int fd)
{
	int clone, made = open(STAGE "/nothing", O_RDONLY | O_CREAT | O_CLOEXEC, 0444);

	if (made < 0)
		fail("%s/nothing", STAGE);
	clone = clone_mount(&(struct tree){.access = "ro", .path = tree->path}, "nothing", made, -1, 0);
	if (move_to(clone, fd) != 0)
		fail("covering a file in %s", tree->path);
	close(made);
	close(clone);
}

/* An empty directory or file that nobody can write to, in the place of one that a tree holds. */
static void cover(const struct tree *tree, const char *below)
{
	char *place = staged(tree, below), link[64];
	int sheltered, fd = open_path(place, &sheltered);
	struct stat st;

	free(place);
	if (fd < 0) /* out of sight, below another mount */
		return;
	if (fstat(fd, &st) != 0)
		fail("covering %s%s", tree->path, below);
	if (!S_ISDIR(st.st_mode)) {
		cover_file(tree, fd);
		close(fd);
		return;
	}
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	if (mount("covered", link, "tmpfs", MS_NOSUID | MS_NODEV | MS_RDONLY, "size=4k,nr_inodes=2,mode=0555") != 0)
		fail("covering %s%s", tree->path, below);
	close(fd);
}

static void add_below(char *path, uint64_t mount, int is_patient)
{
	for (int i = 0; i < below_count && !is_patient; i++)
		is_patient = below[i].is_patient && is_below(path, below[i].path);
	below[below_count].path = path;
	below[below_count].mount = mount;
	below[below_count++].is_patient = is_patient;
}

/* What is mounted below a tree: what is left out of it, and what lies in none of that. */
static void find_mounts_below(const struct tree *tree, int is_mapped)
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	char *line = NULL;
	size_t room = 0;

	below_count = left_out_count = 0;
	if (file == NULL)
		fail("/proc/self/mountinfo");
	while (getline(&line, &room, file) > 0) {
		char *end = strstr(line, " - "), *save = NULL, *type = end == NULL ? NULL : strtok_r(end + 3, " ", &save);
		char *field = strtok_r(line, " ", &save);
		uint64_t mount = strtoull(line, NULL, 10);
		int is_left_out = type != NULL && is_kernel_interface(type), lies_in = 0;

		for (int i = 0; i < 4 && field != NULL; i++)
			field = strtok_r(NULL, " ", &save);
		if (field == NULL)
			continue;
		unescape(field);
		if (strcmp(field, tree->path) == 0 || strcmp(field, "/") == 0 || !is_below(field, tree->path) || is_below(field, stage))
			continue;
		if (!is_left_out && is_skipped(tree, field)) {
			if (!is_mapped) /* it came along */
				continue;
			is_left_out = 1;
		}
		for (int i = 0; i < left_out_count && !lies_in; i++)
			lies_in = is_below(field, left_out[i]);
		if (lies_in)
			continue;
		if (below_count == MOUNTS_MAX || left_out_count == MOUNTS_MAX)
			refuse("%s: more than %d mounts lie below it", tree->path, MOUNTS_MAX);
		if ((field = strdup(field)) == NULL)
			fail("memory");
		if (is_left_out)
			left_out[left_out_count++] = field;
		else
			add_below(field, mount, may_be_silent(type == NULL ? "" : type));
	}
	free(line);
	fclose(file);
}

/* A descriptor of what is mounted there, or -1 where that is out of sight, or moved away just now. */
static int open_below(const struct tree *tree, int number)
{
	const char *path = below[number].path;
	struct glance glance;
	int sheltered, fd = below[number].is_patient ? open_path_in_time(path) : open_path(path, &sheltered);

	if (fd < 0 && errno == ETIMEDOUT) {
		if (strcmp(tree->access, "ro") != 0)
			refuse("refused: what is mounted at %s does not answer", path);
		report(tree, path, "does not answer");
		return -1;
	}
	/* Whoever can write to a directory on the way can put another mount there. */
	if (fd < 0 || (glance_at(fd, &glance) == 0 && (glance.mount == 0 || glance.mount == below[number].mount)))
		return fd;
	close(fd);
	return -1;
}

/* Each with its owners mapped by itself: one that cannot be must not spoil the rest. */
static void attach_mounts_below(const struct tree *tree, int userns, size_t prefix)
{
	for (int i = 0; i < below_count; i++) {
		const char *path = below[i].path;
		int fd = -1, seen = 0;

		for (int j = i + 1; j < below_count && !seen; j++)
			seen = is_below(path, below[j].path);
		/* One that is mounted over later is out of sight. */
		if (!seen && (fd = open_below(tree, i)) >= 0) {
			attach(tree, clone_mount(tree, path, fd, userns, 0), path + prefix);
			close(fd);
		}
	}
}

/*
 * Interfaces of the host's kernel are not what a tree is given for: left out, or covered where all mounts came along. In what can
 * be written all that is left out is covered: whoever removes a directory on which nothing is mounted in his own namespace
 * unmounts what others have there.
 */
void show_mounts_below(const struct tree *tree, int userns)
{
	size_t prefix = strlen(tree->path) == 1 ? 0 : strlen(tree->path);
	int is_mapped = userns >= 0;

	find_mounts_below(tree, is_mapped);
	if (is_mapped)
		attach_mounts_below(tree, userns, prefix);
	for (int i = 0; (!is_mapped || strcmp(tree->access, "rw") == 0) && i < left_out_count; i++)
		cover(tree, left_out[i] + prefix);
	for (int i = 0; i < cover_count; i++)
		if (strcmp(covers[i], tree->path) != 0 && is_below(covers[i], tree->path))
			cover(tree, covers[i] + prefix);
	while (below_count > 0)
		free(below[--below_count].path);
	while (left_out_count > 0)
		free(left_out[--left_out_count]);
}

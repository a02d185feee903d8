/* Shows what is mounted below a tree with it, but for interfaces of the host's kernel. */
#include "below.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../common/fail.h"
#include "paths.h"
#include "trees.h"

#define MOUNTS_MAX 4096

static char *below[MOUNTS_MAX], *left_out[MOUNTS_MAX];
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
			below[below_count++] = field;
	}
	free(line);
	fclose(file);
}

/* Each with its owners mapped by itself: one that cannot be must not spoil the rest. */
static void attach_mounts_below(const struct tree *tree, int userns, size_t prefix)
{
	int sheltered;

	for (int i = 0; i < below_count; i++) {
		int fd = -1, seen = 0;

		for (int j = i + 1; j < below_count && !seen; j++)
			seen = is_below(below[i], below[j]);
		/* One that is mounted over later is out of sight. */
		if (!seen && (fd = open_path(below[i], &sheltered)) >= 0) {
			attach(tree, clone_mount(tree, below[i], fd, userns, 0), below[i] + prefix);
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
		free(below[--below_count]);
	while (left_out_count > 0)
		free(left_out[--left_out_count]);
}

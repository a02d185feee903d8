/* Shows what is mounted below a tree with it, but for interfaces of the host's kernel. */
#include "below.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../common/fail.h"
#include "answers.h"
#include "cover.h"
#include "mounts.h"
#include "paths.h"
#include "trees.h"

static struct {
	char *path;
	uint64_t mount; /* as in mountinfo */
	int is_patient; /* it, or what it lies in, may not answer */
} below[MOUNTS_MAX];
static struct {
	char *path;
	int is_automounter;
} left_out[MOUNTS_MAX];
static int below_count, left_out_count;

/* What a tree lies in is not skipped in that. */
static int is_skipped(const struct tree *tree, const char *path)
{
	for (int i = 0; i < skip_count; i++)
		if (is_below(skips[i], tree->path) && is_below(path, skips[i]))
			return 1;
	return 0;
}

static void add_below(char *path, uint64_t mount, int is_patient)
{
	for (int i = 0; i < below_count && !is_patient; i++)
		is_patient = below[i].is_patient && is_below(path, below[i].path);
	below[below_count].path = path;
	below[below_count].mount = mount;
	below[below_count++].is_patient = is_patient;
}

/* Whether what is mounted there is out of sight with what is left out. What lies on an automounter itself is not, and that is forgotten. */
static int lies_in_left_out(const char *path, int is_left_out)
{
	for (int i = 0; i < left_out_count; i++) {
		if (!is_below(path, left_out[i].path))
			continue;
		if (is_left_out || !left_out[i].is_automounter || strcmp(path, left_out[i].path) != 0)
			return 1;
		free(left_out[i].path);
		left_out[i--] = left_out[--left_out_count];
	}
	return 0;
}

/* What is mounted below a tree: what is left out of it, and what lies in none of that. */
static void find_mounts_below(const struct tree *tree)
{
	FILE *file = open_mounts();
	struct mounted found;

	below_count = left_out_count = 0;
	while (next_mount(file, &found)) {
		int automounts = is_automounter(found.type), is_left_out = is_kernel_interface(found.type) || automounts || is_skipped(tree, found.path);
		char *path = found.path;

		if (strcmp(path, tree->path) == 0 || strcmp(path, "/") == 0 || !is_below(path, tree->path) || is_below(path, stage))
			continue;
		if (lies_in_left_out(path, is_left_out))
			continue;
		if (below_count == MOUNTS_MAX || left_out_count == MOUNTS_MAX)
			refuse("%s: more than %d mounts lie below it", tree->path, MOUNTS_MAX);
		if ((path = strdup(path)) == NULL)
			fail("memory");
		if (is_left_out)
			left_out[left_out_count].path = path, left_out[left_out_count++].is_automounter = automounts;
		else
			add_below(path, found.number, may_be_silent(found.type));
	}
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

	if (userns < 0) {
		cover_interfaces(tree);
	} else {
		find_mounts_below(tree);
		attach_mounts_below(tree, userns, prefix);
	}
	for (int i = 0; strcmp(tree->access, "rw") == 0 && i < left_out_count; i++)
		cover(tree, left_out[i].path + prefix);
	for (int i = 0; i < cover_count; i++)
		if (strcmp(covers[i], tree->path) != 0 && is_below(covers[i], tree->path))
			cover(tree, covers[i] + prefix);
	while (below_count > 0)
		free(below[--below_count].path);
	while (left_out_count > 0)
		free(left_out[--left_out_count].path);
}

/* Puts something empty, that nobody can write to, over what a tree holds and must not show. */
#include "cover.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../common/fail.h"
#include "answers.h"
#include "mounts.h"
#include "paths.h"

/* A guest can exchange what lies on the way to a mount: not each time between two looks. */
#define LOOKS_MAX 32

/* Of the tree in hand, all mounts. */
static struct {
	struct mounted at;
	int is_interface, may_be_silent;
} mounts[MOUNTS_MAX];
static int mount_count;

/* An empty file over what is no directory. Not 0: that was removed since it was opened, and so is nowhere to be seen. */
static int cover_file(const struct tree *tree, int fd)
{
	int clone, error, made = open(STAGE "/nothing", O_RDONLY | O_CREAT | O_CLOEXEC, 0444);

	if (made < 0)
		fail("%s/nothing", STAGE);
	clone = clone_mount(&(struct tree){.access = "ro", .path = tree->path}, "nothing", made, -1, 0);
	error = move_to(clone, fd);
	if (error != 0 && errno != ENOENT)
		fail("covering a file in %s", tree->path);
	close(made);
	close(clone);
	return error;
}

/* As cover_file(). */
static int cover_descriptor(const struct tree *tree, int fd, const char *path)
{
	struct glance glance;
	char link[64];

	if (glance_at(fd, &glance) != 0)
		fail("covering %s", path);
	if (!S_ISDIR(glance.type))
		return cover_file(tree, fd);
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	if (mount("covered", link, "tmpfs", MS_NOSUID | MS_NODEV | MS_RDONLY, "size=4k,nr_inodes=2,mode=0555") == 0)
		return 0;
	if (errno != ENOENT)
		fail("covering %s", path);
	return -1;
}

void cover(const struct tree *tree, const char *below)
{
	char *place = staged(tree, below);
	int left = 1;

	/* Another daemon's directory goes with it; what has its name by then is covered instead. */
	for (int looks = 0; left != 0; looks++) {
		int sheltered, fd = open_path(place, &sheltered);

		if (looks == LOOKS_MAX)
			refuse("refused: %s is exchanged all the time", place);
		left = fd >= 0 ? cover_descriptor(tree, fd, place) : 0; /* else out of sight, below another mount */
		if (fd >= 0)
			close(fd);
	}
	free(place);
}

static void find_mounts(const struct tree *tree)
{
	FILE *file = open_mounts();
	char *place = staged(tree, "");
	struct mounted found;

	while (mount_count > 0)
		free(mounts[--mount_count].at.path);
	while (next_mount(file, &found)) {
		if (!is_below(found.path, place))
			continue;
		if (mount_count == MOUNTS_MAX)
			refuse("%s: more than %d mounts lie below it", tree->path, MOUNTS_MAX);
		mounts[mount_count].is_interface = strcmp(found.path, place) != 0 && (is_kernel_interface(found.type) || is_automounter(found.type));
		mounts[mount_count].may_be_silent = may_be_silent(found.type);
		if ((found.path = strdup(found.path)) == NULL)
			fail("memory");
		mounts[mount_count++].at = found;
	}
	fclose(file);
	free(place);
}

static int is_out_of_sight(int number);

/* Whether something else is mounted on a directory above it, or what it lies in is not seen, or will be covered. */
static int is_sheltered(int number)
{
	const struct mounted *which = &mounts[number].at;
	int above = -1;

	for (int i = 0; i < mount_count; i++) {
		const struct mounted *other = &mounts[i].at;

		if (other != which && other->parent == which->parent && is_below(which->path, other->path))
			return 1;
		if (other->number == which->parent)
			above = i;
	}
	if (above < 0)
		return 0;
	/* On top of that one, and so where that one is. */
	if (strcmp(mounts[above].at.path, which->path) == 0)
		return is_sheltered(above);
	return mounts[above].is_interface || is_out_of_sight(above);
}

/* The same, or something else is mounted on it: as it was when the mounts were listed. */
static int is_out_of_sight(int number)
{
	const struct mounted *which = &mounts[number].at;

	for (int i = 0; i < mount_count; i++)
		if (mounts[i].at.parent == which->number && strcmp(mounts[i].at.path, which->path) == 0)
			return 1;
	return is_sheltered(number);
}

/* Through what may not answer: covered it cannot be then, and left out neither. */
static int open_mounted(const struct tree *tree, int number)
{
	const char *path = mounts[number].at.path;
	int sheltered, fd;

	for (int i = 0; i < mount_count; i++) {
		if (!mounts[i].may_be_silent || !is_below(path, mounts[i].at.path))
			continue;
		fd = open_path_in_time(path);
		if (fd < 0 && errno == ETIMEDOUT)
			refuse("refused: a file system in %s does not answer, in which %s lies", tree->path, path);
		return fd;
	}
	return open_path(path, &sheltered);
}

/*
 * All interfaces of the host's kernel that came along with a tree. Each is known by its number: a path may lead elsewhere by
 * the time it is opened, where a guest can write to a directory on the way.
 */
void cover_interfaces(const struct tree *tree)
{
	int left = 1;

	for (int looks = 0; left > 0; looks++) {
		if (looks == LOOKS_MAX)
			refuse("refused: what lies in %s is exchanged all the time", tree->path);
		find_mounts(tree);
		left = 0;
		for (int i = 0; i < mount_count; i++) {
			struct glance glance;
			int fd;

			if (!mounts[i].is_interface || is_out_of_sight(i))
				continue;
			left++;
			fd = open_mounted(tree, i);
			if (fd >= 0 && glance_at(fd, &glance) == 0 && (glance.mount == 0 || glance.mount == mounts[i].at.number))
				cover_descriptor(tree, fd, mounts[i].at.path);
			if (fd >= 0)
				close(fd);
		}
	}
}

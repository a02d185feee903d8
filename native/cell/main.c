/*
 * pk-cell: the last step of the host before a jail. Makes the namespaces that a jail is built in and the trees it shows,
 * then becomes PROGRAM (bubblewrap). docs/shim.md is its contract. Any step that fails ends it with status 125.
 *
 * As root it stays root, in a mount namespace of its own; a user namespace for the guest is open as descriptor GUEST_FD,
 * for pk-jail to enter. As an ordinary user it is root of a user namespace in which PROGRAM stays.
 */

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../common/fail.h"
#include "../common/numbers.h"
#include "../common/text.h"
#include "trees.h"
#include "users.h"

const char program_name[] = "pk-cell";

#define GUEST_FD 64
#define STARTER_FD 65
#define SYS_pidfd_open_call 434
#define REPORT "unmapped"

/* NAME,BYTES,INODES,MODE */
static void make_memory_files(char *text)
{
	char *save = NULL, *name = strtok_r(text, ",", &save), *bytes = strtok_r(NULL, ",", &save);
	char *inodes = strtok_r(NULL, ",", &save), *mode = strtok_r(NULL, ",", &save), place[512], options[256];

	if (mode == NULL)
		refuse("--memory-files: NAME,BYTES,INODES,MODE are wanted");
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

/*
 * By it the first process of the jail learns of our end, or of what we become: a signal from us would need rights over it
 * that we do not have by then. Before Linux 5.3 there is none.
 */
static void watch_self(void)
{
	int self = (int)syscall(SYS_pidfd_open_call, getpid(), 0);

	if (self >= 0 && (dup2(self, STARTER_FD) != STARTER_FD || close(self) != 0))
		fail("watching over the jail");
}

static void parse_range(char *text)
{
	char *comma = strchr(text, ',');

	if (comma == NULL)
		refuse("--range: BASE,COUNT are wanted");
	*comma = 0;
	base = number("--range", text, UINT32_MAX);
	count = number("--range", comma + 1, UINT32_MAX);
	if (base == 0 || count == 0 || base + count > 0xffffffffu)
		refuse("--range: these ids cannot be a guest's");
}

/* Its starter may be one that the host spares when memory is short: a guest is not. In the jail /proc cannot be written. */
static void be_spared_by_nobody(void)
{
	char text[16];

	if (read_text("/proc/self/oom_score_adj", text, sizeof text) < 0)
		fail("/proc/self/oom_score_adj");
	if (*text == '-')
		set_text("/proc/self/oom_score_adj", "0");
}

/*
 * Where the host's dumps go to a socket (core_pattern "@", Linux 6.16), no limit keeps them from the program that listens there: what
 * it gets holds nothing of any memory then, but numbers of registers and places. In the jail /proc cannot be written.
 */
static void dump_no_memory(void)
{
	if (write_text("/proc/self/coredump_filter", "0") != 0 && errno != ENOENT)
		fail("/proc/self/coredump_filter");
}

/* So much may be locked that functions of the host can write to all of the guest: in the jail nobody can raise it any more. */
static void allow_locked(const char *bytes)
{
	rlim_t most = number("--memlock", bytes, 1ul << 62);
	struct rlimit limit = {most, most};

	if (setrlimit(RLIMIT_MEMLOCK, &limit) != 0)
		fail("--memlock %s", bytes);
}

int main(int argc, char **argv)
{
	char *directory = NULL, *subids = NULL, *memory[8];
	int at, guest = -1, memories = 0, single = 0;

	fail_status = FAILED;
	for (at = 1; at < argc && strcmp(argv[at], "--") != 0; at++) {
		char *option = argv[at];
		int wanted = strcmp(option, "--single") == 0 ? 0 : strcmp(option, "--tree") == 0 ? 5 : 1;

		if (at + wanted >= argc)
			refuse("%s wants %d values", option, wanted);
		if (wanted == 0) {
			single = 1;
		} else if (strcmp(option, "--dir") == 0) {
			directory = argv[at + 1];
		} else if (strcmp(option, "--range") == 0) {
			parse_range(argv[at + 1]);
		} else if (strcmp(option, "--subids") == 0) {
			subids = argv[at + 1];
		} else if (strcmp(option, "--memlock") == 0) {
			allow_locked(argv[at + 1]);
		} else if (strcmp(option, "--skip") == 0) {
			if (skip_count == SKIPS_MAX)
				refuse("--skip: too many");
			skips[skip_count++] = argv[at + 1];
		} else if (strcmp(option, "--cover") == 0) {
			if (cover_count == SKIPS_MAX)
				refuse("--cover: too many");
			covers[cover_count++] = argv[at + 1];
		} else if (strcmp(option, "--memory-files") == 0) {
			if (memories == (int)(sizeof memory / sizeof *memory))
				refuse("--memory-files: too many");
			memory[memories++] = argv[at + 1];
		} else if (wanted == 5) {
			if (tree_count == TREES_MAX)
				refuse("--tree: too many");
			trees[tree_count++] = (struct tree){argv[at + 1], argv[at + 2], argv[at + 3], argv[at + 4], argv[at + 5], 0, 0};
		} else {
			refuse("unknown option %s", option);
		}
		at += wanted;
	}
	if (at + 1 >= argc || (count != 0) + (subids != NULL) + single != 1)
		refuse("usage: pk-cell --range BASE,COUNT|--subids LIST|--single [--dir DIR [--tree NAME ro|rw plain|mapped|owned "
		       "EXPECTED PATH] [--skip PATH] [--cover PATH] [--memory-files NAME,BYTES,INODES,MODE]] [--memlock BYTES] -- PROGRAM ARG...");
	be_spared_by_nobody();
	dump_no_memory();
	for (int i = 0; i < tree_count; i++)
		check_tree(&trees[i]);
	if (count == 0)
		become_root_inside(subids);
	else
		guest = mapping_namespace((struct range){0, base, count}, (struct range){0, base, count});
	if (directory != NULL) {
		if (chdir(directory) != 0)
			fail("%s", directory);
		unlink(REPORT);
		report_fd = open(REPORT, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (report_fd < 0)
			fail("%s", REPORT);
		separate_mounts();
		umask(0);
		for (int i = 0; i < memories; i++)
			make_memory_files(memory[i]);
		for (int i = 0; i < tree_count; i++)
			show(&trees[i], guest);
		umask(022);
	}
	if (guest >= 0 && dup2(guest, GUEST_FD) != GUEST_FD)
		fail("the guest's user namespace");
	let_keeper_go();
	watch_self();
	execv(argv[at + 1], argv + at + 1);
	fail("%s", argv[at + 1]);
}

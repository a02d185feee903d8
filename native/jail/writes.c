/*
 * Where a VMM may open files for writing, and for reading, and of where it runs programs, by Landlock. A read-only mount does not stop who opens a FIFO,
 * and what is written there reaches a program of the host; nor who runs a file, to which nobody on the host can write meanwhile. Who reads in
 * /proc holds locks of all of the host's kernel: that of all locks in files (/proc/locks), that of all mounts (mountinfo), those of devices. One that
 * gets no turn for all that is busy beside it has the programs of the host wait for as long.
 * Before Linux 5.19, or where Landlock is off, the mounts alone decide.
 */
#include "writes.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../common/fail.h"

/* From linux/landlock.h. */
#define LANDLOCK_CREATE 444
#define LANDLOCK_ADD 445
#define LANDLOCK_RESTRICT 446
#define LANDLOCK_VERSION 1
#define LANDLOCK_BENEATH 1
#define LANDLOCK_EXECUTE (1u << 0)
#define LANDLOCK_WRITE_FILE (1u << 1)
#define LANDLOCK_READ_FILE (1u << 2)
#define LANDLOCK_REFER (1u << 13) /* renaming and linking between directories, which is refused otherwise; version 2 */

/* In the root of the jail, what is the host's to change: src/driver/jail/jail.ts. Its other files are the jail's, but for this. */
#define SHOWN "export"
#define KERNEL "proc"
#define PROCESSORS "/proc/cpuinfo" /* by it User Mode Linux learns what the host's can do */

struct landlock_beneath {
	uint64_t access;
	int32_t parent;
} __attribute__((packed));

/* The places given. */
const char *writable[WRITABLE_MAX];
int writable_count;

static void allow(int rules, const char *path, uint64_t access)
{
	struct landlock_beneath rule = {access, open(path, O_PATH | O_CLOEXEC)};
	struct stat st;

	if (rule.parent < 0 || fstat(rule.parent, &st) != 0)
		fail("%s", path);
	if (!S_ISDIR(st.st_mode))
		rule.access &= LANDLOCK_EXECUTE | LANDLOCK_WRITE_FILE | LANDLOCK_READ_FILE;
	if (syscall(LANDLOCK_ADD, rules, LANDLOCK_BENEATH, &rule, 0) != 0)
		fail("what may be done with %s", path);
	close(rule.parent);
}

static void allow_own(int rules, int may_read_kernel)
{
	DIR *root = opendir("/");
	struct dirent *entry;
	char path[sizeof entry->d_name + 1] = "/";

	if (root == NULL)
		fail("/");
	while ((entry = readdir(root)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		strcpy(path + 1, entry->d_name);
		if (strcmp(entry->d_name, SHOWN) == 0)
			allow(rules, path, LANDLOCK_READ_FILE);
		else if (strcmp(entry->d_name, KERNEL) != 0 || may_read_kernel)
			allow(rules, path, LANDLOCK_EXECUTE | LANDLOCK_READ_FILE);
	}
	closedir(root);
	if (access(PROCESSORS, F_OK) == 0)
		allow(rules, PROCESSORS, LANDLOCK_READ_FILE);
}

/* No place given: none of these is looked at. */
void confine_files(int may_read_kernel)
{
	uint64_t writing = LANDLOCK_WRITE_FILE | LANDLOCK_REFER, handled = writing | LANDLOCK_EXECUTE | LANDLOCK_READ_FILE;
	int rules;

	if (writable_count == 0 || syscall(LANDLOCK_CREATE, NULL, 0, LANDLOCK_VERSION) < 2)
		return;
	rules = (int)syscall(LANDLOCK_CREATE, &handled, sizeof handled, 0);
	if (rules < 0)
		fail("rules for files");
	for (int i = 0; i < writable_count; i++)
		allow(rules, writable[i], writing);
	allow_own(rules, may_read_kernel);
	if (syscall(LANDLOCK_RESTRICT, rules, 0) != 0)
		fail("confining files");
	close(rules);
}

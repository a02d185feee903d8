/*
 * Where a VMM may open files for writing, by Landlock: a read-only mount does not stop who opens a FIFO, and what is
 * written there reaches a program of the host. Before Linux 5.19, or where Landlock is off, the mounts alone decide.
 */
#include "writes.h"

#include <fcntl.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../common/fail.h"

/* From linux/landlock.h. */
#define LANDLOCK_CREATE 444
#define LANDLOCK_ADD 445
#define LANDLOCK_RESTRICT 446
#define LANDLOCK_VERSION 1
#define LANDLOCK_BENEATH 1
#define LANDLOCK_WRITE_FILE (1u << 1)
#define LANDLOCK_REFER (1u << 13) /* renaming and linking between directories, which is refused otherwise; version 2 */

struct landlock_beneath {
	uint64_t access;
	int32_t parent;
} __attribute__((packed));

/* The places given. */
const char *writable[WRITABLE_MAX];
int writable_count;

/* No place given: writing is not looked at. */
void confine_writes(void)
{
	uint64_t handled = LANDLOCK_WRITE_FILE | LANDLOCK_REFER;
	int rules;

	if (writable_count == 0 || syscall(LANDLOCK_CREATE, NULL, 0, LANDLOCK_VERSION) < 2)
		return;
	rules = (int)syscall(LANDLOCK_CREATE, &handled, sizeof handled, 0);
	if (rules < 0)
		fail("rules for writing");
	for (int i = 0; i < writable_count; i++) {
		struct landlock_beneath rule = {handled, open(writable[i], O_PATH | O_CLOEXEC)};
		struct stat st;

		if (rule.parent < 0 || fstat(rule.parent, &st) != 0)
			fail("--write %s", writable[i]);
		if (!S_ISDIR(st.st_mode))
			rule.access = LANDLOCK_WRITE_FILE;
		if (syscall(LANDLOCK_ADD, rules, LANDLOCK_BENEATH, &rule, 0) != 0)
			fail("--write %s", writable[i]);
		close(rule.parent);
	}
	if (syscall(LANDLOCK_RESTRICT, rules, 0) != 0)
		fail("confining writes");
	close(rules);
}

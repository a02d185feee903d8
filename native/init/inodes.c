/*
 * hostfs keeps a file or directory that was once opened open on the host for as long as the kernel knows its inode, and the host
 * lets User Mode Linux have so many open files and no more: then nothing can be opened in the guest. A kernel with memory to
 * spare forgets nothing by itself, so it is told to when it knows many inodes more than are in use.
 */
#include "inodes.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "../common/text.h"

#define INODES_KNOWN "/proc/sys/fs/inode-nr"
#define DROP_CACHES "/proc/sys/vm/drop_caches"
#define INODES_AND_NAMES "2" /* proc(5) */
#define NO_MORE_LINES "4"    /* in the kernel's log, one for each time; this makes one itself */

enum { INODES_MS = 200 };    /* in which a process opens a few thousand at most */

long inodes_most;   /* 0: however many */
static long inodes_in_use; /* when they were last told to be forgotten; since then maybe fewer */
uint64_t inodes_due;

static long inodes_known(void)
{
	char text[64];
	read_text(INODES_KNOWN, text, sizeof text);
	return strtol(text, NULL, 10);
}

void inodes_turn(uint64_t now)
{
	if (!inodes_most || now < inodes_due) return;
	inodes_due = now + INODES_MS;
	long known = inodes_known();
	if (known < inodes_in_use) inodes_in_use = known;
	if (known - inodes_in_use <= inodes_most) return;
	int fd = open(DROP_CACHES, O_WRONLY | O_CLOEXEC);
	if (fd < 0) return;
	if (pwrite(fd, NO_MORE_LINES, 1, 0) == 1 && pwrite(fd, INODES_AND_NAMES, 1, 0) == 1) inodes_in_use = inodes_known();
	close(fd);
}

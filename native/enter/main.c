/*
 * pk-enter NAMESPACE PROGRAM [ARGUMENT]...
 *
 * Runs a program in a network namespace (a file, or `-` for the own one), with the namespace it was called from under the name
 * `host` for those who look namespaces up in /run/netns: a mount namespace of the program's own has it there, and nothing else.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../common/fail.h"

#define NAMESPACES "/run/netns"

const char program_name[] = "pk-enter";

int main(int argc, char **argv)
{
	char own[64];
	int host, file;

	if (argc < 3) {
		fputs("usage: pk-enter NAMESPACE PROGRAM [ARGUMENT]...\n", stderr);
		return 2;
	}
	host = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (host < 0)
		fail("the own network namespace");
	file = strcmp(argv[1], "-") == 0 ? -1 : open(argv[1], O_RDONLY | O_CLOEXEC);
	if (file < 0 && strcmp(argv[1], "-") != 0)
		fail("%s", argv[1]);
	if (mkdir(NAMESPACES, 0755) != 0 && errno != EEXIST)
		fail(NAMESPACES);
	if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_SLAVE, NULL) != 0)
		fail("a mount namespace");
	if (mount("none", NAMESPACES, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=4k,mode=0755") != 0)
		fail(NAMESPACES);
	close(open(NAMESPACES "/host", O_RDONLY | O_CREAT | O_CLOEXEC, 0444));
	snprintf(own, sizeof own, "/proc/self/fd/%d", host);
	if (mount(own, NAMESPACES "/host", NULL, MS_BIND, NULL) != 0)
		fail(NAMESPACES "/host");
	if (file >= 0 && setns(file, CLONE_NEWNET) != 0)
		fail("%s", argv[1]);
	execv(argv[2], argv + 2);
	fail("%s", argv[2]);
}

/*
 * pk-netns FILE
 *
 * Keeps a network namespace for a user without rights: in a user namespace of its own, whose root that user is. Says `ready`
 * and detaches from its standard streams; FILE then says `PID START_TIME`, and /proc/PID/ns leads to both. Ends by SIGTERM, and when
 * FILE is gone or names another process.
 */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#include "../common/fail.h"
#include "../common/interface.h"
#include "../common/keep.h"
#include "../common/text.h"

const char program_name[] = "pk-netns";

static void map_root(const char *file, unsigned id)
{
	char text[32];

	snprintf(text, sizeof text, "0 %u 1\n", id);
	if (write_text(file, text) != 0)
		fail("%s", file);
}

int main(int argc, char **argv)
{
	unsigned uid = geteuid(), gid = getegid();

	errno = EINVAL;
	if (argc != 2)
		fail("usage: pk-netns FILE");
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)
		fail("a user namespace");
	if (write_text("/proc/self/setgroups", "deny") != 0)
		fail("/proc/self/setgroups");
	map_root("/proc/self/uid_map", uid);
	map_root("/proc/self/gid_map", gid);
	/* A namespace that was granted without rights in it is of no use. */
	errno = interface_up("lo");
	if (errno != 0)
		fail("rights in a user namespace");
	if (keep_begin(argv[1], -1) != 0)
		fail("%s", argv[1]);
	do
		poll(NULL, 0, LOOK_MS);
	while (keep_is_wanted(argv[1]));
	return 0;
}

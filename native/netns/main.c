/*
 * pk-netns FILE
 *
 * Keeps a network namespace for a user without rights: in a user namespace of its own, whose root that user is. Says `ready`
 * and detaches from its standard streams; FILE then says `PID START_TIME`, and /proc/PID/ns leads to both. Ends by SIGTERM, and when
 * FILE is gone or names another process.
 */
#define _GNU_SOURCE
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "../common/keep.h"

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "pk-netns: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void say(const char *file, const char *format, unsigned id)
{
	int fd = open(file, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || dprintf(fd, format, id) < 0)
		die(file);
	close(fd);
}

int main(int argc, char **argv)
{
	struct ifreq loopback = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	unsigned uid = geteuid(), gid = getegid();
	int fd;

	errno = EINVAL;
	if (argc != 2)
		die("usage: pk-netns FILE");
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)
		die("a user namespace");
	say("/proc/self/setgroups", "deny", 0);
	say("/proc/self/uid_map", "0 %u 1\n", uid);
	say("/proc/self/gid_map", "0 %u 1\n", gid);
	/* A namespace that was granted without rights in it is of no use. */
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &loopback) != 0)
		die("rights in a user namespace");
	close(fd);
	if (keep_begin(argv[1], -1) != 0)
		die(argv[1]);
	do
		poll(NULL, 0, LOOK_MS);
	while (keep_is_wanted(argv[1]));
	return 0;
}

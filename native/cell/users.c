/* The user namespaces of a cell: one for a guest of root's, or one in which an ordinary user is root. */
#include "users.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../common/fail.h"
#include "../common/numbers.h"
#include "../common/text.h"

#define NO_SETUID_FIXUP 4 /* linux/securebits.h: SECBIT_NO_SETUID_FIXUP */

static pid_t keeper; /* The one process in a namespace that mapping_namespace() made, until it is let go. */

static void act_as(unsigned long uid, unsigned long gid)
{
	if (setresgid((gid_t)-1, (gid_t)gid, (gid_t)-1) != 0 || setresuid((uid_t)-1, (uid_t)uid, (uid_t)-1) != 0)
		fail("acting as user %lu", uid);
}

/*
 * fork(), with the child in a new user namespace. The host kernel counts what is used in one (inotify instances, timers,
 * queued signals, processes) for who made it, too: so a guest's is made by the guest's root, with our rights, or root of the
 * host would lack what guests use up.
 */
static pid_t fork_into_namespace(unsigned long uid, unsigned long gid)
{
	unsigned long own_uid = geteuid(), own_gid = getegid();
	pid_t self = getpid(), child;
	int bits = prctl(PR_GET_SECUREBITS, 0, 0, 0, 0), error;

	if (bits < 0 || prctl(PR_SET_SECUREBITS, bits | NO_SETUID_FIXUP, 0, 0, 0) != 0)
		fail("keeping rights");
	act_as(uid, gid);
	child = (pid_t)syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
	error = errno;
	if (child == 0) {
		/* It ends with us, who may have ended already. */
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != self)
			_exit(1);
		for (;;)
			pause();
	}
	act_as(own_uid, own_gid);
	if (prctl(PR_SET_SECUREBITS, bits, 0, 0, 0) != 0)
		fail("giving rights back");
	errno = error;
	return child;
}

void set_text(const char *path, const char *text)
{
	if (write_text(path, text) != 0)
		fail("%s", path);
}

static void write_range(pid_t pid, const char *map, struct range range)
{
	char path[64], text[64];

	snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, map);
	snprintf(text, sizeof text, "%lu %lu %lu\n", range.inside, range.outside, range.count);
	set_text(path, text);
}

void let_keeper_go(void)
{
	if (keeper > 0 && waitpid(keeper, NULL, 0) != keeper)
		fail("waiting for the keeper of a user namespace");
	keeper = 0;
}

/*
 * A user namespace that nobody is in, with one range of ids for users and one for groups. Who kept it until it was open is
 * waited for at the next call, or by let_keeper_go(): it never needs to have run, and CPUs may be busy.
 */
int mapping_namespace(struct range uids, struct range gids)
{
	char path[64];
	int fd;

	let_keeper_go();
	keeper = fork_into_namespace(uids.outside, gids.outside);
	if (keeper < 0)
		fail("making a user namespace");
	write_range(keeper, "uid_map", uids);
	write_range(keeper, "gid_map", gids);
	snprintf(path, sizeof path, "/proc/%d/ns/user", (int)keeper);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		fail("%s", path);
	kill(keeper, SIGKILL);
	return fd;
}

static void run_mapper(const char *program, const char *pid, unsigned long own, unsigned long start, unsigned long length)
{
	char numbers[6][24];
	int status;
	pid_t child;

	snprintf(numbers[0], sizeof *numbers, "0"), snprintf(numbers[1], sizeof *numbers, "%lu", own);
	snprintf(numbers[2], sizeof *numbers, "1"), snprintf(numbers[3], sizeof *numbers, "1");
	snprintf(numbers[4], sizeof *numbers, "%lu", start), snprintf(numbers[5], sizeof *numbers, "%lu", length);
	child = fork();
	if (child == 0) {
		execl(program, program, pid, numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], numbers[5], (char *)NULL);
		fail("%s", program);
	}
	if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
		refuse("%s refused the ids %lu to %lu", program, start, start + length - 1);
}

/*
 * Enters a user namespace in which the caller is root. `mappers`: UIDMAP,GIDMAP,UID,COUNT,GID,COUNT, the two set-uid
 * programs and the ids that /etc/subuid and /etc/subgid give; without them the caller's own ids are all there is.
 */
void become_root_inside(char *mappers)
{
	unsigned long uid = getuid(), gid = getgid();
	char text[64], pid[16], byte = 0;
	int go[2], status;
	pid_t helper = -1;

	snprintf(pid, sizeof pid, "%d", (int)getpid());
	if (pipe2(go, O_CLOEXEC) != 0)
		fail("pipe");
	if (mappers != NULL && (helper = fork()) == 0) {
		char *save = NULL, *uid_program = strtok_r(mappers, ",", &save), *gid_program = strtok_r(NULL, ",", &save);
		unsigned long ids[4];

		for (int i = 0; i < 4; i++) {
			char *item = strtok_r(NULL, ",", &save);

			if (item == NULL)
				refuse("--subids: UIDMAP,GIDMAP,UID,COUNT,GID,COUNT are wanted");
			ids[i] = number("--subids", item, UINT32_MAX);
		}
		close(go[1]);
		if (read(go[0], &byte, 1) != 1)
			_exit(FAILED);
		run_mapper(uid_program, pid, uid, ids[0], ids[1]);
		run_mapper(gid_program, pid, gid, ids[2], ids[3]);
		_exit(0);
	}
	if (unshare(CLONE_NEWUSER) != 0)
		fail("making a user namespace (see `pk doctor`)");
	if (mappers != NULL) {
		if (helper < 0 || write(go[1], &byte, 1) != 1 || waitpid(helper, &status, 0) != helper || status != 0)
			exit(FAILED);
	} else {
		set_text("/proc/self/setgroups", "deny");
		snprintf(text, sizeof text, "0 %lu 1\n", uid);
		set_text("/proc/self/uid_map", text);
		snprintf(text, sizeof text, "0 %lu 1\n", gid);
		set_text("/proc/self/gid_map", text);
	}
	close(go[0]), close(go[1]);
	if (setresgid(0, 0, 0) != 0 || setresuid(0, 0, 0) != 0)
		fail("becoming root of the user namespace");
}

/* The user namespaces of a cell: one for a guest of root's, or one in which an ordinary user is root. */
#ifndef CELL_USERS_H
#define CELL_USERS_H

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* An id outside that is `first` inside, and how many follow. */
struct range {
	unsigned long inside, outside, count;
};

#define NO_SETUID_FIXUP 4 /* linux/securebits.h: SECBIT_NO_SETUID_FIXUP */

/*
 * The host kernel counts what is used in a user namespace (inotify instances, timers, queued signals, processes) for who made
 * it, too: so a guest's is made by the guest's root, with our rights, or root of the host would lack what guests use up.
 */
static int make_user_namespace(unsigned long uid, unsigned long gid)
{
	return prctl(PR_SET_SECUREBITS, NO_SETUID_FIXUP, 0, 0, 0) != 0 || setresgid((gid_t)gid, (gid_t)gid, (gid_t)gid) != 0 ||
	       setresuid((uid_t)uid, (uid_t)uid, (uid_t)uid) != 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || unshare(CLONE_NEWUSER) != 0
	       ? -1 : 0;
}

/* A user namespace that nobody is in, with one range of ids for users and one for groups. */
static int mapping_namespace(struct range uids, struct range gids)
{
	char path[64], text[64], byte = 0;
	int go[2], fd;
	pid_t child;

	if (pipe2(go, O_CLOEXEC) != 0)
		fail("pipe");
	child = fork();
	if (child < 0)
		fail("fork");
	if (child == 0) {
		if (make_user_namespace(uids.outside, gids.outside) != 0)
			byte = (char)errno;
		(void)!write(go[1], &byte, 1);
		for (;;)
			pause();
	}
	if (read(go[0], &byte, 1) != 1 || byte != 0) {
		errno = byte;
		fail("making a user namespace");
	}
	close(go[0]), close(go[1]);
	snprintf(path, sizeof path, "/proc/%d/uid_map", (int)child);
	snprintf(text, sizeof text, "%lu %lu %lu\n", uids.inside, uids.outside, uids.count);
	write_text(path, text);
	snprintf(path, sizeof path, "/proc/%d/gid_map", (int)child);
	snprintf(text, sizeof text, "%lu %lu %lu\n", gids.inside, gids.outside, gids.count);
	write_text(path, text);
	snprintf(path, sizeof path, "/proc/%d/ns/user", (int)child);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		fail("%s", path);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
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
		REFUSE("%s refused the ids %lu to %lu", program, start, start + length - 1);
}

/*
 * Enters a user namespace in which the caller is root. `mappers`: UIDMAP,GIDMAP,UID,COUNT,GID,COUNT, the two set-uid
 * programs and the ids that /etc/subuid and /etc/subgid give; without them the caller's own ids are all there is.
 */
static void become_root_inside(char *mappers)
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
				REFUSE("--subids: UIDMAP,GIDMAP,UID,COUNT,GID,COUNT are wanted");
			ids[i] = number("--subids", item, UINT32_MAX);
		}
		close(go[1]);
		if (read(go[0], &byte, 1) != 1)
			_exit(125);
		run_mapper(uid_program, pid, uid, ids[0], ids[1]);
		run_mapper(gid_program, pid, gid, ids[2], ids[3]);
		_exit(0);
	}
	if (unshare(CLONE_NEWUSER) != 0)
		fail("making a user namespace (see `pk doctor`)");
	if (mappers != NULL) {
		if (helper < 0 || write(go[1], &byte, 1) != 1 || waitpid(helper, &status, 0) != helper || status != 0)
			exit(125);
	} else {
		write_text("/proc/self/setgroups", "deny");
		snprintf(text, sizeof text, "0 %lu 1\n", uid);
		write_text("/proc/self/uid_map", text);
		snprintf(text, sizeof text, "0 %lu 1\n", gid);
		write_text("/proc/self/gid_map", text);
	}
	close(go[0]), close(go[1]);
	if (setresgid(0, 0, 0) != 0 || setresuid(0, 0, 0) != 0)
		fail("becoming root of the user namespace");
}

#endif

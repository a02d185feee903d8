/*
 * File systems that may never answer: who asks one cannot be sure to get out of the call again. So a process is made that asks,
 * and that is left behind when it takes too long.
 */
#include "answers.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../common/clock.h"
#include "../common/descriptor.h"
#include "../common/fail.h"
#include "paths.h"

/* Of all that a jail shows together: below the time in which its driver wants to hear from a kernel. */
#define PATIENCE_MS 5000
/* What each has that is asked after those were used up. */
#define LEAST_MS 100

static uint64_t left_ms = PATIENCE_MS;

int may_be_silent(const char *type)
{
	static const char *const types[] = {
		"nfs", "nfs4", "cifs", "smb3", "9p", "virtiofs", "ceph", "afs", "coda", "orangefs", "lustre", "gpfs", "beegfs", "ocfs2", "gfs2",
		"autofs", "vboxsf", "hostfs",
	};

	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		if (strcmp(type, types[i]) == 0)
			return 1;
	return strcmp(type, "fuse") == 0 || strcmp(type, "fuseblk") == 0 || strncmp(type, "fuse.", 5) == 0;
}

int open_path_in_time(const char *path)
{
	int pair[2], sheltered, fd = -1, patience = (int)(left_ms > LEAST_MS ? left_ms : LEAST_MS);
	uint64_t began = now_ms(), took;
	struct pollfd answer;
	char error = ETIMEDOUT;
	pid_t asker;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0 || (asker = fork()) < 0)
		fail("asking %s", path);
	if (asker == 0) {
		/* Nobody must wait for the end of what it might keep open. */
		if (dup2(pair[1], 0) != 0 || syscall(SYS_close_range, 1, ~0u, 0) != 0)
			_exit(1);
		fd = open_path(path, &sheltered);
		error = (char)errno;
		if (fd < 0 || send_descriptor(0, fd, 0) != 0)
			(void)!write(0, &error, 1);
		_exit(0);
	}
	close(pair[1]);
	answer = (struct pollfd){pair[0], POLLIN, 0};
	if (poll(&answer, 1, patience) == 1)
		fd = receive_descriptor(pair[0], &error);
	close(pair[0]);
	took = now_ms() - began;
	left_ms -= took < left_ms ? took : left_ms;
	/* One that cannot end is a child of what we become. */
	kill(asker, SIGKILL);
	waitpid(asker, NULL, error == ETIMEDOUT ? WNOHANG : 0);
	errno = error;
	return fd;
}

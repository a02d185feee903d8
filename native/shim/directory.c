/* Writes the files of the instance's directory that say which process this is and how the program ended. */
#include "directory.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../common/fail.h"
#include "../common/start-time.h"
#include "clients.h"
#include "program.h"

static int exit_fd = -1, pid_fd = -1, counts_names;

static int has_name(int fd)
{
	struct stat st;

	return fstat(fd, &st) != 0 || st.st_nlink > 0;
}

int is_forgotten(void)
{
	return counts_names && !has_name(pid_fd) && !has_name(exit_fd);
}

void write_exit(void)
{
	char text[40];
	int i, n, signalled = WIFSIGNALED(status);

	n = snprintf(text, sizeof text, "%s %d\n", signalled ? "signal" : "code", signalled ? WTERMSIG(status) : WEXITSTATUS(status));
	/* The block was taken at the start, so that a full disk cannot lose the status. */
	if (pwrite(exit_fd, text, (size_t)n, 0) == n && ftruncate(exit_fd, n) == 0)
		rename("exit.new", "exit");
	unlink("shim.sock");
	for (i = 0; i < CLIENTS; i++)
		if (clients[i].kind == WAITING)
			answer(&clients[i], "%s", text);
}

/* One shim per directory; the lock lives as long as we do, and the file tells who that is. */
void claim_directory(void)
{
	pid_fd = open("shim.pid", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (pid_fd < 0)
		fail("shim.pid");
	if (flock(pid_fd, LOCK_EX | LOCK_NB) != 0)
		fail("another pk-shim holds this directory");
	if (ftruncate(pid_fd, 0) != 0 || dprintf(pid_fd, "%d %llu\n", (int)getpid(), (unsigned long long)own_start_time()) < 0)
		fail("shim.pid");
	unlink("exit");
	exit_fd = open("exit.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (exit_fd < 0 || write(exit_fd, "                               \n", 32) != 32)
		fail("exit.new");
	counts_names = has_name(pid_fd) && has_name(exit_fd); /* not every file server does */
}

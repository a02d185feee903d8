/* Writes the files of the instance's directory that say which process this is and how the program ended. */
#include "directory.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "../common/fail.h"
#include "../common/start-time.h"
#include "clients.h"
#include "program.h"

static int exit_fd = -1;

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
	int fd = open("shim.pid", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		fail("shim.pid");
	if (flock(fd, LOCK_EX | LOCK_NB) != 0)
		fail("another pk-shim holds this directory");
	if (ftruncate(fd, 0) != 0 || dprintf(fd, "%d %llu\n", (int)getpid(), (unsigned long long)own_start_time()) < 0)
		fail("shim.pid");
	unlink("exit");
	exit_fd = open("exit.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (exit_fd < 0 || write(exit_fd, "                               \n", 32) != 32)
		fail("exit.new");
}

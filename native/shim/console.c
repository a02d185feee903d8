/* The console: from the program to the log and to all who look, from each of them to the program. */
#include "console.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../common/descriptor.h"
#include "buffer.h"
#include "clients.h"

#define CONSOLE_BYTES 65536

/*
 * What the program prints is taken at this pace, for what that costs us, and the disk, counts for no kernel: one that prints without end had a third
 * of a CPU. A read costs as much as so many bytes. What is not taken waits with the program.
 */
#define BYTES_A_SECOND (4 << 20)
#define READ_BYTES 4096
#define MOST_SAVED BYTES_A_SECOND

static int64_t budget = MOST_SAVED;

struct buffer console_in;
int console = -1;
static int log_fd = -1;
long log_bytes = 1 << 20; /* of a log, before another is begun */
static long log_size;

void log_open(void)
{
	struct stat st;

	log_fd = open("console.log", O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	log_size = log_fd >= 0 && fstat(log_fd, &st) == 0 ? (long)st.st_size : 0;
}

/* A full disk drops output; the next write tries again. */
static void log_write(const char *bytes, size_t length)
{
	while (length > 0) {
		ssize_t n;

		if (log_fd >= 0 && log_size >= log_bytes) {
			if (rename("console.log", "console.log.1") != 0)
				return;
			close_fd(&log_fd);
		}
		if (log_fd < 0)
			log_open();
		n = log_fd < 0 ? -1 : write(log_fd, bytes, (long)length < log_bytes - log_size ? length : (size_t)(log_bytes - log_size));
		if (n <= 0)
			return;
		log_size += n;
		bytes += n;
		length -= (size_t)n;
	}
}

int console_rest(uint64_t now)
{
	static uint64_t filled_at;
	int64_t since = (int64_t)(now - filled_at) < 1000 ? (int64_t)(now - filled_at) : 1000;

	filled_at = now;
	budget += since * (BYTES_A_SECOND / 1000);
	if (budget > MOST_SAVED)
		budget = MOST_SAVED;
	return budget > 0 ? 0 : (int)(-budget / (BYTES_A_SECOND / 1000)) + 1;
}

void pump_console(void)
{
	static char bytes[CONSOLE_BYTES];
	ssize_t n = recv(console, bytes, sizeof bytes, MSG_DONTWAIT);
	int i;

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		close_fd(&console);
		return;
	}
	if (n < 0)
		return;
	budget -= n + READ_BYTES;
	log_write(bytes, (size_t)n);
	for (i = 0; i < CLIENTS; i++)
		if (clients[i].kind == CONSOLE &&
		    send(clients[i].fd, bytes, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno != EAGAIN)
			drop_client(&clients[i]);
}

/* Between the line from outside and UML's management console: a command a line, an answer a line. */
#include "console.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "../common/descriptor.h"
#include "calls.h"
#include "mconsole.h"

/* Commands of the management console that wait for their answer. */
static unsigned asked;

/* One command of the management console a line, from outside; its answer goes back there. */
void serve_line(void)
{
	static char text[MCONSOLE_BYTES];
	static size_t used;
	ssize_t n = recv(LINE_FD, text + used, sizeof text - 1 - used, MSG_DONTWAIT);
	char *end;

	if (n == 0)
		exit(128 + SIGKILL);
	if (n < 0)
		return;
	used += (size_t)n;
	text[used] = 0;
	while ((end = strchr(text, '\n')) != NULL) {
		*end = 0;
		if (console_socket < 0 || mconsole_send(console_socket, text) != 0)
			dprintf(LINE_FD, "error the management console is not open\n");
		else
			asked++;
		used -= (size_t)(end + 1 - text);
		memmove(text, end + 1, used + 1);
	}
	if (used == sizeof text - 1)
		used = 0;
}

/* Nobody may read what was not asked for, and we would wait with all that fills the line. */
void serve_console(void)
{
	static char answer[8192];
	static size_t used;
	int failed, result = mconsole_receive(console_socket, answer, &used, sizeof answer, &failed);

	/* Or it would be ready for ever, and we busy on a CPU that the kernel does not own. */
	if (result == -2) {
		close_fd(&console_socket);
		used = 0;
	}
	if (result != 1)
		return;
	used = 0;
	if (asked == 0)
		return;
	asked--;
	/* One line, whatever the guest put in it. */
	for (char *at = answer; *at != 0; at++)
		if (*at == '\n')
			*at = ' ';
	dprintf(LINE_FD, "%s %s\n", failed ? "error" : "ok", answer);
}

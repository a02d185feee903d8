#include "say.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void say(const char *what, const char *which)
{
	char text[512];
	int n = snprintf(text, sizeof text, "pk-init: %s%s%s: %s\n", what, which ? " " : "", which ? which : "", strerror(errno));
	int fd = open("/dev/console", O_WRONLY | O_NOCTTY | O_CLOEXEC);
	if (write(fd >= 0 ? fd : 2, text, (size_t)(n < (int)sizeof text ? n : (int)sizeof text - 1)) < 0) return;
	if (fd >= 0) close(fd);
}

/* PID 1 may not end without the kernel panicking, which is how the host learns of it: the console has the reason. */
_Noreturn void die(const char *what, const char *which)
{
	say(what, which);
	_exit(1);
}

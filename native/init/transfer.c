/* PUT and GET: a file on its way is a session without a process. */
#include "transfer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../common/descriptor.h"
#include "bytes.h"
#include "configure.h"
#include "protocol.h"
#include "sessions.h"

void file_session(u32 id, u8 *p, u32 n, int put)
{
	struct session *s = session_new(id);
	if (!s) return;
	const char *path = "";
	mode_t mode = 0644;
	struct stat st;
	char *key, *value;
	for (u8 *end = p + n; (key = next_pair(&p, end, &value));) {
		if (!strcmp(key, "path")) path = value;
		else if (!strcmp(key, "mode")) mode = (mode_t)strtoul(value, NULL, 8) & 07777;
	}
	int flags = O_NONBLOCK | O_NOCTTY | O_CLOEXEC | (put ? O_WRONLY | O_CREAT | O_TRUNC : O_RDONLY);
	int fd = open(path, flags, mode), error = 0;
	if (fd < 0 || fstat(fd, &st)) error = errno;
	else if (S_ISDIR(st.st_mode)) error = EISDIR;
	else if (put && S_ISREG(st.st_mode) && fchmod(fd, mode)) error = errno;
	if (error) {
		close_fd(&fd);
		session_end(s, EXIT_NOT_STARTED, (u32)error, "path");
	} else *(put ? &s->in : &s->out[0]) = fd;
}

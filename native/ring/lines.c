/* Messages as lines, for shells. */
#include "lines.h"

#include "../common/fail.h"
#include "ends.h"

int send_lines(const char *name)
{
	struct pk_channel ch = attach(name, PK_CHANNEL_SEND);
	char *line = NULL;
	size_t room = 0;
	ssize_t length;

	while ((length = getline(&line, &room, stdin)) >= 0) {
		if (length > 0 && line[length - 1] == '\n')
			length--;
		send_message(&ch, line, length > INT_MAX ? UINT_MAX : (uint32_t)length, 0);
	}
	pk_channel_leave(&ch, PK_RING_CLOSED);
	return 0;
}

int receive_lines(const char *name)
{
	struct pk_channel ch = attach(name, PK_CHANNEL_RECV);
	const void *bytes;
	uint32_t length;

	while ((bytes = wait_message(&ch, &length)) != NULL) {
		/* Flushed before the release: a message is either still in the ring or written. */
		if (fwrite(bytes, 1, length, stdout) != length || putchar('\n') < 0 || fflush(stdout) != 0)
			fail("standard output");
		release(&ch, length);
	}
	pk_channel_leave(&ch, PK_RING_DETACHED);
	return 0;
}

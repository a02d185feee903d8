/* Small files whose content is a text, as those of /proc and /sys are. */
#ifndef PK_TEXT_H
#define PK_TEXT_H

#include <stddef.h>
#include <sys/types.h>

/* Reads what one read gives into text[size], behind which there is a NUL. Returns how many bytes there are; -1 with errno: none. */
ssize_t read_text(const char *path, char *text, size_t size);

/* Writes to a file that is there, all at once. Returns 0, or -1 with errno. */
int write_text(const char *path, const char *text);

#endif

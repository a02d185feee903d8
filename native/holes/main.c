/*
 * pk-holes: gives the host back what is behind parts of an open file, in a process that may be kept waiting for it: the file is the
 * memory of a kernel, whose process can write to it all the while.
 *
 *     pk-holes
 *
 * Descriptor 3 is the file. Each line on standard input names a part, `OFFSET BYTES`, and is answered with an empty line once it is
 * a hole, which reads as zeros; the size of the file stays. Ends with 0 at the end of input.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "../common/fail.h"
#include "../common/fields.h"
#include "../common/numbers.h"

const char program_name[] = "pk-holes";

enum { FILE_FD = 3 };
/* 64 TiB: no kernel has more memory. */
#define MOST_BYTES (1ul << 46)

int main(void)
{
	char line[64];

	setvbuf(stdout, NULL, _IOLBF, 0);
	while (fgets(line, sizeof line, stdin) != NULL) {
		char *part[2];
		unsigned long offset, bytes;

		line[strcspn(line, "\n")] = 0;
		split_fields(line, ' ', part, 2);
		offset = number("OFFSET", part[0], MOST_BYTES);
		bytes = number("BYTES", part[1], MOST_BYTES);
		if (fallocate(FILE_FD, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)bytes) != 0)
			fail("making a hole of %lu bytes at %lu", bytes, offset);
		putchar('\n');
	}
	return 0;
}

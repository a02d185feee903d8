/* A tar archive's blocks: POSIX ustar, long names as GNU tar has them, tar(5). */
#ifndef PK_INIT_TAR_H
#define PK_INIT_TAR_H

#include <stddef.h>

#include "bytes.h"

enum { BLOCK = 512 };

/* Of one path, with its NUL. */
enum { PATH = 4096 };

struct tar_header {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], sum[8], type, link[100];
	char magic[8], owner[32], group[32], major[8], minor[8], prefix[155], rest[12];
};

/* Ends the process with 1; what it says, `errno=N PATH`, is read by src/guest/trees.ts. An error of 0 has a text for people instead, or is
 * `owner=UID:GID PATH`: that owner is none that a file there can have. */
_Noreturn void tar_fail(int error, const char *text);

/* The same for what cannot be copied for what it is: `refused=WHY`. */
_Noreturn void tar_refuse(const char *why);

/* Is called before tar_fail() ends the process, where it is set. */
extern void (*tar_failing)(void);

/* The sum of its bytes, those of the sum itself read as spaces. */
u32 tar_sum(const struct tar_header *h);

/* Octal, or big-endian with the highest bit set; below zero, as times before 1970 are, all above it are set, too. */
void tar_put(char *field, size_t width, u64 value);
u64 tar_get(const char *field, size_t width);

/* `pk-init pack PATH NAME`: a file or directory as an archive on standard output, in it called NAME. */
int pack(const char *path, const char *name);

/* `pk-init unpack PATH NAME WORDS`: see unpack.c. */
int unpack(const char *path, const char *name, const char *words);

#endif

/*
 * Loaded into lspci: counts the transactions that its reads of configuration spaces would be. The kernel makes one of each dword
 * that a pread(2) of the file touches. Written at its end to the file named by PK_COUNT.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static unsigned long dwords;

static void count(size_t length, off_t at)
{
	if (length > 0)
		dwords += (at + length + 3) / 4 - at / 4;
}

ssize_t pread(int fd, void *buffer, size_t length, off_t at)
{
	static ssize_t (*real)(int, void *, size_t, off_t);

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "pread");
	count(length, at);
	return real(fd, buffer, length, at);
}

ssize_t pread64(int fd, void *buffer, size_t length, off64_t at)
{
	return pread(fd, buffer, length, at);
}

__attribute__((destructor)) static void tell(void)
{
	const char *path = getenv("PK_COUNT");
	FILE *file = path ? fopen(path, "w") : NULL;

	if (!file)
		return;
	fprintf(file, "%lu\n", dwords);
	fclose(file);
}

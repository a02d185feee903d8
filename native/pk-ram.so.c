/*
 * pk-ram.so is loaded into QEMU when it starts a clone, before its own libraries. QEMU opens the file of a guest's memory
 * for writing even when it only wants a private view of it, and so does not start where the file cannot be written; but a
 * template's memory must not be writable by its clones. This makes it ask for what it needs.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TEMPLATE_RAM "/vmm/ram"

static int open_file(const char *path, int flags, int mode)
{
	if (strcmp(path, TEMPLATE_RAM) == 0)
		flags = (flags & ~O_ACCMODE) | O_RDONLY;
	return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
	va_list list;
	int mode;

	va_start(list, flags);
	mode = va_arg(list, int);
	va_end(list);
	return open_file(path, flags, mode);
}

/* What glibc's headers make of an open() without a mode. */
int __open64_2(const char *path, int flags)
{
	return open_file(path, flags, 0);
}

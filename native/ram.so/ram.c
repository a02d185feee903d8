/*
 * pk-ram.so is loaded into each QEMU that runs a workload, before its own libraries.
 *
 * QEMU opens the file of a guest's memory for writing even when it only wants a private view of it, and so does not start
 * where the file cannot be written; but a template's memory must not be writable by its clones. This makes it ask for what
 * it needs.
 *
 * Nor can it make holes in that file, which it wants to before it lets go of what a balloon took out of its view: there
 * is nothing to make, for the view alone is what takes memory.
 *
 * And before version 9.2 its 9p server takes the FIFO or socket that it has just made for an attack, when it opens it to
 * set its mode: by O_PATH, which opens nothing. So such a descriptor says that it is an ordinary file's; the looks at
 * files by name, of which the guest is told, do not come through here.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TEMPLATE_RAM "/vmm/ram"

#define MAKE_HOLE 3 /* linux/falloc.h: FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE */

static int template_ram = -1;

static int open_file(const char *path, int flags, int mode)
{
	int is_template = strcmp(path, TEMPLATE_RAM) == 0, fd;

	if (is_template)
		flags = (flags & ~O_ACCMODE) | O_RDONLY;
	fd = (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
	if (is_template)
		template_ram = fd;
	return fd;
}

/* The name of glibc's with 64 bits, as below. */
int make_room(int fd, int mode, off_t offset, off_t length) __asm__("fallocate64");

int make_room(int fd, int mode, off_t offset, off_t length)
{
	if (fd >= 0 && fd == template_ram && mode == MAKE_HOLE)
		return 0;
	return (int)syscall(SYS_fallocate, fd, mode, offset, length);
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

/* The name by which QEMU asks for it, which musl's headers would make another of. */
int look_at(int fd, struct stat *st) __asm__("fstat64");

int look_at(int fd, struct stat *st)
{
	long flags;

	if (syscall(SYS_fstat, fd, st) != 0)
		return -1;
	if (S_ISFIFO(st->st_mode) || S_ISSOCK(st->st_mode)) {
		flags = syscall(SYS_fcntl, fd, F_GETFL);
		if (flags >= 0 && flags & O_PATH)
			st->st_mode = (st->st_mode & ~(unsigned)S_IFMT) | S_IFREG;
	}
	return 0;
}

/*
 * The host takes the set-gid bit from a directory whose group is not the one of who sets it, which here is always the
 * guest's root; but leaves it when the group is given away.
 */
int chmod(const char *path, mode_t mode)
{
	struct stat st;
	int result;

	if (!(mode & S_ISGID) || syscall(SYS_stat, path, &st) != 0 || !S_ISDIR(st.st_mode) || st.st_gid == 0)
		return (int)syscall(SYS_chmod, path, mode);
	if (syscall(SYS_chown, path, -1, 0) != 0)
		return (int)syscall(SYS_chmod, path, mode);
	result = (int)syscall(SYS_chmod, path, mode);
	if (syscall(SYS_chown, path, -1, st.st_gid) != 0)
		return -1;
	return result;
}

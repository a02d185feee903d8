/*
 * pk-kexec: the system calls by which a kernel with the multikernel patches loads, boots and ends the kernels of its instances.
 *
 *     pk-kexec load   NAME ID KERNEL INITRAMFS COMMAND-LINE
 *     pk-kexec unload NAME ID
 *     pk-kexec boot   NAME ID
 *     pk-kexec halt   NAME ID
 *     pk-kexec force  NAME ID
 *
 * The flags of these calls mean other things to kernels without the patches: 0x10 and 0x20 are KEXEC_FILE_NO_CMA and
 * KEXEC_FILE_FORCE_DTB of include/uapi/linux/kexec.h, with which the kernel of the machine itself would be replaced at its next
 * reboot. So each call is made only after statfs(2) has shown the file system of the patches where the kernel puts it, and there
 * the instance NAME with the id ID. Nothing skips this.
 *
 * Ends with 0, or with 1 and the number of the errno on standard output.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "../common/fail.h"
#include "../common/numbers.h"

const char program_name[] = "pk-kexec";

#define ROOT "/sys/fs/multikernel"
/* The super block's magic, as kernel/multikernel/kernfs.c of the patches has it. */
#define MAGIC 0x6d6b6673
#define ID_MOST 2047

/* include/uapi/linux/kexec.h and reboot.h of the patches, as their users have them. */
#define FILE_UNLOAD 0x01ul
#define FILE_NO_INITRAMFS 0x04ul
#define FILE_MULTIKERNEL 0x10ul
#define FILE_ID(id) ((id) << 5 & 0xffe0ul)
/* Of every Linux. */
#define REBOOT_MAGIC1 0xfee1dead
#define REBOOT_MAGIC2 672274793
#define CMD_BOOT 0x4d4b4c49
#define CMD_HALT 0x4d4b4c48
#define CMD_HALT_FORCE 0x4d4b4c46

/* Tells the caller, in a form that it can read. */
static _Noreturn void failed(const char *what)
{
	int error = errno;

	printf("%d\n", error);
	fflush(stdout);
	errno = error;
	fail("%s", what);
}

/* A file of the instance NAME, without its line end. */
static void read_file(int root, const char *name, const char *which, char text[32])
{
	char path[256];
	int file;
	ssize_t n;

	if (*name == 0 || strchr(name, '/') != NULL || *name == '.' || strlen(name) > 63)
		errno = EINVAL, failed("the name of the instance");
	snprintf(path, sizeof path, "instances/%s/%s", name, which);
	file = openat(root, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	n = file < 0 ? -1 : read(file, text, 31);
	if (n <= 0)
		failed(path);
	text[n] = 0, text[strcspn(text, "\n")] = 0;
}

/* Stops here unless this kernel is one with the patches, and has that instance; for what the kernel does not look at itself, in `state`. */
static void prove(const char *name, unsigned long id, const char *state)
{
	char text[32];
	struct statfs of;
	int root = open(ROOT, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (root < 0 || fstatfs(root, &of) != 0)
		failed(ROOT);
	if ((unsigned long)of.f_type != MAGIC)
		errno = ENODEV, failed("the file system of the multikernel patches is not mounted on " ROOT);
	read_file(root, name, "id", text);
	if (id < 1 || number("the kernel's id of the instance", text, ID_MOST) != id)
		errno = ESTALE, failed("the instance has another id");
	if (state == NULL)
		return;
	read_file(root, name, "status", text);
	if (strcmp(text, state) != 0)
		errno = EBUSY, failed("the instance is in another state");
}

static int open_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		failed(path);
	return fd;
}

static void load(unsigned long id, char **argv)
{
	int kernel = open_file(argv[0]), initramfs = *argv[1] ? open_file(argv[1]) : -1;
	unsigned long flags = FILE_MULTIKERNEL | FILE_ID(id) | (initramfs < 0 ? FILE_NO_INITRAMFS : 0);

	if (syscall(SYS_kexec_file_load, kernel, initramfs, strlen(argv[2]) + 1, argv[2], flags) != 0)
		failed("kexec_file_load");
}

static void command(unsigned long number, unsigned long id)
{
	int argument = (int)id;

	if (syscall(SYS_reboot, REBOOT_MAGIC1, REBOOT_MAGIC2, number, &argument) != 0)
		failed("reboot");
}

int main(int argc, char **argv)
{
	static const struct { const char *word; unsigned long number; } commands[] = {
		{"boot", CMD_BOOT}, {"halt", CMD_HALT}, {"force", CMD_HALT_FORCE},
	};
	unsigned long id;

	if (argc < 4)
		refuse("usage: pk-kexec load|unload|boot|halt|force NAME ID [KERNEL INITRAMFS COMMAND-LINE]");
	id = number("ID", argv[3], ID_MOST);
	/* An active instance would lose its image as it runs. */
	prove(argv[2], id, strcmp(argv[1], "unload") == 0 ? "loaded" : NULL);
	if (strcmp(argv[1], "load") == 0 && argc == 7)
		return load(id, argv + 4), 0;
	if (strcmp(argv[1], "unload") == 0 && argc == 4) {
		if (syscall(SYS_kexec_file_load, -1, -1, 0ul, NULL, FILE_UNLOAD | FILE_MULTIKERNEL | FILE_ID(id)) != 0)
			failed("kexec_file_load");
		return 0;
	}
	for (size_t i = 0; i < sizeof commands / sizeof *commands && argc == 4; i++)
		if (strcmp(argv[1], commands[i].word) == 0)
			return command(commands[i].number, id), 0;
	refuse("%s: no such call, or not its arguments", argv[1]);
}

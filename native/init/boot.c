/* Prepares the guest before the host is heard: mounts file systems and loads modules. */
#include "boot.h"

#include <errno.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../common/text.h"
#include "files.h"
#include "say.h"

int load_module(char *path)
{
	char *parameters = strchr(path, ' ');
	if (parameters) *parameters++ = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC), error;
	if (fd < 0) return errno;
	error = syscall(SYS_finit_module, fd, parameters ? parameters : "", 0) && errno != EEXIST ? errno : 0;
	close(fd);
	return error;
}

/* That of UML has no empty line behind its CPU, without which ps, top and vmstat of procps 4.0 find no CPU, and end. */
static void end_cpuinfo(void)
{
	static char text[8192];
	static const char *const own = "/run/pk/cpuinfo", *const shown = "/proc/cpuinfo";
	if (access("/proc/exitcode", F_OK)) return; /* which UML alone has: reading what all CPUs are takes its time */
	ssize_t n = read_text(shown, text, sizeof text - 2);
	if (n < 2 || n == sizeof text - 3 || text[n - 1] != '\n' || text[n - 2] == '\n') return;
	text[n] = '\n', text[n + 1] = 0;
	if (write_file(own, text) || mount(own, shown, NULL, MS_BIND, NULL)) say("cannot end", shown);
}

void boot_mounts(void)
{
	static const struct { const char *type, *target, *data; unsigned long flags; } mounts[] = {
		{"devtmpfs", "/dev", "mode=0755", MS_NOSUID},
		{"proc", "/proc", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC},
		{"sysfs", "/sys", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC},
		{"tmpfs", "/run", "mode=0755", MS_NOSUID | MS_NODEV},
		{"devpts", "/dev/pts", "gid=5,mode=0620,ptmxmode=0666", MS_NOSUID | MS_NOEXEC},
		{"tmpfs", "/dev/shm", "mode=1777", MS_NOSUID | MS_NODEV},
	};
	static const char *const links[][2] = {
		{"/proc/self/fd", "/dev/fd"}, {"fd/0", "/dev/stdin"}, {"fd/1", "/dev/stdout"}, {"fd/2", "/dev/stderr"},
	};
	for (size_t i = 0; i < sizeof mounts / sizeof *mounts; i++) {
		mkdir(mounts[i].target, 0755);
		if (mount(mounts[i].type, mounts[i].target, mounts[i].type, mounts[i].flags, mounts[i].data))
			say("cannot mount", mounts[i].target); /* a kernel without one of them can still be of use */
		if (i == 2) write_file("/sys/kernel/uevent_helper", "\n"); /* or each new device forks a helper that is not there */
	}
	mkdir("/run/pk", 0755), mkdir("/run/pk/bin", 0755);
	if (mount("/pk", "/run/pk/bin", NULL, MS_BIND, NULL)) say("cannot mount", "/run/pk/bin"); /* /run is carried through switch-root */
	for (size_t i = 0; i < sizeof links / sizeof *links; i++)
		if (symlink(links[i][0], links[i][1]) && errno != EEXIST) say("cannot link", links[i][1]);
	end_cpuinfo();
}

void boot_modules(void)
{
	static char list[16384];
	char *save = NULL;
	read_text("/etc/modules", list, sizeof list);
	for (char *path = strtok_r(list, "\n", &save); path; path = strtok_r(NULL, "\n", &save)) {
		int error = *path == '/' ? load_module(path) : 0;
		if (error) errno = error, say("cannot load module", path);
	}
}

/* Prepares the guest before the host is heard: mounts file systems and loads modules. */
#include "boot.h"

#include <errno.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
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

/* In user namespaces (unshare -r, bwrap, rootless containers) a /proc or /sys can only be mounted where one is to be seen whole: this
 * one, which is in every mount namespace, and below the root that switch-root covers. */
static void keep_whole(const char *type, const char *path)
{
	if (mkdir(path, 0555) || mount(type, path, type, MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL)) say("cannot mount", path);
}

/* Nothing would wake this machine: it has no states to sleep in, and whoever asks for one is told so. */
static void stay_awake(void)
{
	static const char *const own = "/run/pk/power", *const shown = "/sys/power/state";
	if (access(shown, F_OK)) return;
	keep_whole("sysfs", "/whole-sys");
	if (write_file(own, "") || mount(own, shown, NULL, MS_BIND, NULL) || mount(NULL, shown, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL))
		say("cannot empty", shown);
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
	keep_whole("proc", "/whole-proc");
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
		{"mqueue", "/dev/mqueue", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC},
		{"cgroup2", "/sys/fs/cgroup", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC},
	};
	static const char *const links[][2] = {
		{"/proc/self/fd", "/dev/fd"}, {"fd/0", "/dev/stdin"}, {"fd/1", "/dev/stdout"}, {"fd/2", "/dev/stderr"},
	};
	/* They open once their module is loaded, which the kernel does by itself: udev makes the same before any program runs. */
	static const struct { const char *path; unsigned minor; mode_t mode; } nodes[] = {
		{"/dev/fuse", 229, 0666}, {"/dev/loop-control", 237, 0660}, {"/dev/net/tun", 200, 0666}, {"/dev/mapper/control", 236, 0600},
	};
	static const char *const settings[][2] = {
		/* As container runtimes have it, and systemd the second: this machine is the workload's alone. */
		{"/proc/sys/net/ipv4/ip_unprivileged_port_start", "0"}, {"/proc/sys/net/ipv4/ping_group_range", "0 2147483647"},
	};
	const struct rlimit files = {1024, 524288}; /* systemd's: 4096, the kernel's own, are too few for databases and web servers */
	for (size_t i = 0; i < sizeof mounts / sizeof *mounts; i++) {
		mkdir(mounts[i].target, 0755);
		if (mount(mounts[i].type, mounts[i].target, mounts[i].type, mounts[i].flags, mounts[i].data))
			say("cannot mount", mounts[i].target); /* a kernel without one of them can still be of use */
		if (i == 2) write_file("/sys/kernel/uevent_helper", "\n"); /* or each new device forks a helper that is not there */
	}
	mkdir("/run/pk", 0755), mkdir("/run/pk/bin", 0755);
	mkdir("/run/lock", 0755), chmod("/run/lock", 01777); /* Debian's /var/lock leads there */
	if (mount("/pk", "/run/pk/bin", NULL, MS_BIND, NULL)) say("cannot mount", "/run/pk/bin"); /* /run is carried through switch-root */
	mkdir("/dev/net", 0755), mkdir("/dev/mapper", 0755);
	for (size_t i = 0; i < sizeof nodes / sizeof *nodes; i++)
		if (!mknod(nodes[i].path, S_IFCHR, makedev(10, nodes[i].minor)) || errno == EEXIST) chmod(nodes[i].path, nodes[i].mode);
	for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) write_text(settings[i][0], settings[i][1]);
	setrlimit(RLIMIT_NOFILE, &files);
	for (size_t i = 0; i < sizeof links / sizeof *links; i++)
		if (symlink(links[i][0], links[i][1]) && errno != EEXIST) say("cannot link", links[i][1]);
	end_cpuinfo();
	stay_awake();
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

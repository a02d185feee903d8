/*
 * pk-share SOURCE TARGET: shows a directory of the host in a User Mode Linux guest, with true owners.
 *
 * hostfs makes every file as the VMM, which is the guest's root, whoever asks. This stands in front of it: a FUSE file
 * system at TARGET over a private mount of hostfs (SOURCE is hostfs's own option), which gives what it makes to the user
 * who asked for it. The kernel checks permissions (default_permissions), applies umasks, and keeps locks; this program
 * runs as guest root, obeys the kernel alone, and does one request at a time: the machine has one CPU, and a request to
 * hostfs stops all of it anyway. It writes an errno (0: mounted) to standard output, then serves until the file system is
 * unmounted. Its death makes all requests fail with ENOTCONN or ECONNABORTED; it ends no other process.
 *
 * Nothing is kept for longer than VALID_NS that the host can change; writes reach the host at once.
 */

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../common/text.h"
#include "anchors.h"
#include "call.h"
#include "nodes.h"
#include "requests.h"

#define PR_IO_FLUSHER 57
#ifndef AT_STATX_DONT_SYNC
#define AT_STATX_DONT_SYNC 0x4000
#endif

static unsigned char request_bytes[TRANSFER + HEADROOM] __attribute__((aligned(8)));

__attribute__((noreturn)) static void report(int error)
{
	if (write(STDOUT_FILENO, &error, sizeof error) < 0)
		_exit(1);
	_exit(error != 0);
}

/* Nothing but guest root's SIGKILL ends it, and it is not what a guest without memory gives up. */
static void stay_alive(void)
{
	struct rlimit files = {1 << 20, 1 << 20};
	struct sched_param none = {0};

	write_text("/proc/self/oom_score_adj", "-1000");
	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_IGN);
	setrlimit(RLIMIT_NOFILE, &files);
	setpriority(PRIO_PROCESS, 0, -10);
	/* Nobody is interrupted for a request that he does not wait for, such as one of a file that was closed. */
	syscall(SYS_sched_setscheduler, 0, SCHED_BATCH, &none); /* the C library has no such call */
	prctl(PR_SET_DUMPABLE, 0);
	prctl(PR_IO_FLUSHER, 1); /* the kernel may wait for us to find memory, and so must not do that for us */
}

static void set_queue(uint32_t major, uint32_t minor, const char *name, const char *value)
{
	char path[80];

	snprintf(path, sizeof path, "/sys/class/bdi/%u:%u/%s", major, minor, name);
	write_text(path, value); /* it works without, but not as fast */
}

/*
 * The kernel distrusts FUSE: it lets a hundredth of the memory wait to be written to it, so that who stores through mappings
 * is stopped at once; and it reads little ahead. This one may have what a disk may.
 */
static void be_disk(const char *target)
{
	uint32_t all[64]; /* struct statx, where the device's numbers are words 34 and 35 */

	if (syscall(SYS_statx, AT_FDCWD, target, AT_STATX_DONT_SYNC, 0, all) != 0)
		return;
	set_queue(all[34], all[35], "max_ratio", "100");
	set_queue(all[34], all[35], "read_ahead_kb", "1024");
}

/*
 * The mounts of hostfs are in no namespace that anybody else sees, and nothing else is in this one, or it would keep what
 * others mount from being unmounted. `place`: any directory. 0, or -1 with errno.
 */
static int empty_namespace(const char *place)
{
	if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
		return -1;
	if (mount("share", place, "tmpfs", 0, "size=64k") != 0 || chdir(place) != 0)
		return -1;
	if (syscall(SYS_pivot_root, ".", ".") != 0 || umount2(".", MNT_DETACH) != 0 || chdir("/") != 0)
		return -1;
	return mkdir(mount_place, 0700);
}

int main(int count, char **arguments)
{
	struct node *root = NULL;
	struct stat st;
	char options[128];
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), first, done = 0;

	if (count != 3)
		report(EINVAL);
	stay_alive();
	umask(0);
	mount_source = arguments[1];
	device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (device < 0)
		report(errno);
	snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0,default_permissions,allow_other", device);
	/* A failure after this ends the process, and with it the file system. */
	if (mount("share", arguments[2], "fuse", 0, options) != 0)
		report(errno);
	be_disk(arguments[2]);
	if (empty_namespace("/proc") != 0 || (first = mount_anew(mount_source)) < 0 || fstat(first, &st) != 0 || (root = new_node(st.st_ino, st.st_mode)) == NULL || anchor_root(root) < 0) {
		done = errno;
		umount2(arguments[2], MNT_DETACH);
		report(done);
	}
	close(first);
	if (write(STDOUT_FILENO, &done, sizeof done) < 0)
		_exit(1);
	for (int fd = 0; fd < 3; fd++)
		dup2(null, fd);
	for (;;) {
		ssize_t n = read(device, request_bytes, sizeof request_bytes);

		if (n < 0 && (errno == EINTR || errno == EAGAIN || errno == ENOENT))
			continue;
		if (n < 0 || !serve(request_bytes, (size_t)n))
			return 0;
	}
}

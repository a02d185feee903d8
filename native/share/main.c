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
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "contents.h"

#define PR_IO_FLUSHER 57
#ifndef AT_STATX_DONT_SYNC
#define AT_STATX_DONT_SYNC 0x4000
#endif

static unsigned char request_bytes[TRANSFER + HEADROOM] __attribute__((aligned(8)));

static int tell_space(const struct call *call)
{
	struct statfs st;
	struct statfs_answer out;

	if (fstatfs(mounts[NAMES], &st) != 0)
		return errno;
	out = (struct statfs_answer){
		.blocks = st.f_blocks, .free = st.f_bfree, .available = st.f_bavail, .files = st.f_files, .files_free = st.f_ffree,
		.block_size = (uint32_t)st.f_bsize, .name_length = NAME_MAX, .fragment_size = (uint32_t)(st.f_frsize ? st.f_frsize : st.f_bsize),
	};
	answer(call, 0, &out, sizeof out);
	return 0;
}

static int begin(const struct call *call, const struct init_in *in)
{
	const uint32_t wanted = INIT_ASYNC_READ | INIT_ATOMIC_TRUNCATE | INIT_BIG_WRITES | INIT_AUTO_INVAL_DATA |
		INIT_READDIRPLUS | INIT_READDIRPLUS_AUTO | INIT_ASYNC_DIO | INIT_PARALLEL_DIROPS | INIT_HANDLE_KILLPRIV | INIT_MAX_PAGES;
	struct init_answer out = {
		.major = FUSE_MAJOR, .minor = FUSE_MINOR, .max_readahead = TRANSFER, .flags = in->flags & wanted,
		.max_background = 16, .congestion = 12, .max_write = TRANSFER, .time_grain = 1, .max_pages = TRANSFER / 4096,
	};

	if (in->major != FUSE_MAJOR)
		return EPROTO;
	answer(call, 0, &out, sizeof out);
	return 0;
}

static int synchronize(const struct call *call, const struct fsync_in *in)
{
	int fd = call->node->fd, done = fd < 0 ? 0 : in->flags & FSYNC_DATA ? fdatasync(fd) : fsync(fd);

	if (done != 0 && !(errno == EINVAL && S_ISDIR(call->node->mode)))
		return errno;
	answer(call, 0, NULL, 0);
	return 0;
}

static void forget_many(const struct call *call)
{
	const struct batch_forget_in *in = call->body;
	const struct forget_one *one = (const void *)(in + 1);

	for (uint32_t i = 0; i < in->count && (i + 1) * sizeof *one <= call->bytes - sizeof *in; i++)
		forget(one[i].node, one[i].lookups);
}

/* The bytes that an operation needs before the names in it. */
static uint32_t fixed_bytes(uint32_t operation)
{
	switch (operation) {
	case FUSE_FORGET: return sizeof(struct forget_in);
	case FUSE_SETATTR: return sizeof(struct setattr_in);
	case FUSE_MKNOD: return sizeof(struct mknod_in);
	case FUSE_MKDIR: return sizeof(struct mkdir_in);
	case FUSE_RENAME: return sizeof(struct rename_in);
	case FUSE_RENAME2: return sizeof(struct rename2_in);
	case FUSE_LINK: return sizeof(struct link_in);
	case FUSE_OPEN: case FUSE_OPENDIR: return sizeof(struct open_in);
	case FUSE_CREATE: return sizeof(struct create_in);
	case FUSE_READ: case FUSE_READDIR: case FUSE_READDIRPLUS: case FUSE_WRITE: return sizeof(struct transfer_in);
	case FUSE_FSYNC: case FUSE_FSYNCDIR: return sizeof(struct fsync_in);
	case FUSE_INIT: return sizeof(struct init_in);
	case FUSE_BATCH_FORGET: return sizeof(struct batch_forget_in);
	default: return 0;
	}
}

static dev_t device_number(uint32_t encoded)
{
	return makedev((encoded & 0xfff00) >> 8, (encoded & 0xff) | (encoded >> 12 & 0xfff00));
}

/* An errno for the answer, or 0 when there was one or none is wanted. */
static int obey(const struct call *call)
{
	const void *body = call->body;
	uint32_t operation = call->head->operation;
	const char *name = name_in(call, fixed_bytes(operation), 0);

	switch (operation) {
	case FUSE_LOOKUP: return name == NULL ? errno : answer_entry(call, name);
	case FUSE_GETATTR: return get_attributes(call);
	case FUSE_SETATTR: return set_attributes(call, body);
	case FUSE_READLINK: return read_link(call);
	case FUSE_SYMLINK: {
		/* The name, then what it points to, which may hold slashes. */
		const char *target = name == NULL ? NULL : name + strlen(name) + 1;
		size_t rest = name == NULL ? 0 : call->bytes - (size_t)(target - (const char *)body);

		if (name == NULL)
			return errno;
		return rest == 0 || memchr(target, 0, rest) == NULL ? EINVAL : make(call, name, S_IFLNK | 0777, 0, target);
	}
	case FUSE_MKNOD: {
		const struct mknod_in *in = body;

		if (name == NULL)
			return errno;
		return S_ISDIR(in->mode) || S_ISLNK(in->mode) ? EINVAL : make(call, name, in->mode, device_number(in->device), NULL);
	}
	case FUSE_MKDIR: return name == NULL ? errno : make(call, name, S_IFDIR | (((const struct mkdir_in *)body)->mode & 07777), 0, NULL);
	case FUSE_UNLINK: return name == NULL ? errno : remove_name(call, name, 0);
	case FUSE_RMDIR: return name == NULL ? errno : remove_name(call, name, AT_REMOVEDIR);
	case FUSE_RENAME:
		return rename_file(call, ((const struct rename_in *)body)->directory, 0, name, name_in(call, sizeof(struct rename_in), 1));
	case FUSE_RENAME2: {
		const struct rename2_in *in = body;

		return rename_file(call, in->directory, in->flags, name, name_in(call, sizeof *in, 1));
	}
	case FUSE_LINK: return name == NULL ? errno : link_file(call, ((const struct link_in *)body)->node, name);
	case FUSE_OPEN: case FUSE_OPENDIR:
		return open_file(call, operation == FUSE_OPEN ? (int)((const struct open_in *)body)->flags : O_RDONLY);
	case FUSE_CREATE: return name == NULL ? errno : create(call, body, name);
	case FUSE_READ: return read_file(call, body);
	case FUSE_WRITE: return write_file(call, body);
	case FUSE_READDIR: case FUSE_READDIRPLUS: return read_directory(call, body, operation == FUSE_READDIRPLUS);
	case FUSE_STATFS: return tell_space(call);
	case FUSE_FSYNC: case FUSE_FSYNCDIR: return synchronize(call, body);
	case FUSE_RELEASE: case FUSE_RELEASEDIR:
		close_node(call->node);
		answer(call, 0, NULL, 0);
		return 0;
	default: return ENOSYS; /* which the kernel remembers, and does itself what it can */
	}
}

/* One request of `bytes` bytes. Returns 0 when it was the last. */
static int serve(const unsigned char *bytes, size_t length)
{
	const struct request *head = (const void *)bytes;
	struct call call = {head, NULL, bytes + sizeof *head, (uint32_t)(length - sizeof *head)};
	int error;

	if (length < sizeof *head || head->length != length)
		return 1;
	if (head->operation == FUSE_INTERRUPT)
		return 1;
	if (call.bytes < fixed_bytes(head->operation)) {
		answer(&call, EINVAL, NULL, 0);
		return 1;
	}
	call.node = node_of(head->node);
	switch (head->operation) {
	case FUSE_DESTROY: return 0;
	case FUSE_FORGET: forget(head->node, ((const struct forget_in *)call.body)->lookups); return 1;
	case FUSE_BATCH_FORGET: forget_many(&call); return 1;
	case FUSE_INIT: error = begin(&call, call.body); break;
	default: error = call.node == NULL ? ESTALE : obey(&call);
	}
	if (error != 0)
		answer(&call, error, NULL, 0);
	return 1;
}

#ifndef FUZZING
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
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd >= 0 && write(fd, "-1000", 5) < 0)
		errno = 0;
	if (fd >= 0)
		close(fd);
	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_IGN);
	setrlimit(RLIMIT_NOFILE, &files);
	setpriority(PRIO_PROCESS, 0, -10);
	prctl(PR_SET_DUMPABLE, 0);
	prctl(PR_IO_FLUSHER, 1); /* the kernel may wait for us to find memory, and so must not do that for us */
}

static void set_queue(uint32_t major, uint32_t minor, const char *name, const char *value)
{
	char path[80];
	int fd;

	snprintf(path, sizeof path, "/sys/class/bdi/%u:%u/%s", major, minor, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd >= 0 && write(fd, value, strlen(value)) < 0)
		errno = 0; /* it works without, but not as fast */
	if (fd >= 0)
		close(fd);
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
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), done = 0;

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
	if (empty_namespace("/proc") != 0 || mount_root(NAMES) < 0 || fstat(mounts[NAMES], &st) != 0 || (root = new_node(st.st_ino, st.st_mode)) == NULL) {
		done = errno;
		umount2(arguments[2], MNT_DETACH);
		report(done);
	}
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
#endif

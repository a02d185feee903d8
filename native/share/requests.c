/* Takes the kernel's requests, and calls what answers each kind. */
#include "requests.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "anchors.h"
#include "attributes.h"
#include "call.h"
#include "contents.h"
#include "files.h"
#include "listing.h"
#include "lookup.h"
#include "make.h"
#include "names.h"
#include "nodes.h"
#include "protocol.h"

static int tell_space(const struct call *call)
{
	struct statfs st;
	struct statfs_answer out;

	if (fstatfs(mount_of(node_of(FUSE_ROOT)->anchor, NAMES), &st) != 0)
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
int serve(const unsigned char *bytes, size_t length)
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
	request_number++;
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

/* Reads and writes the contents of files that were found. */
#include "contents.h"

#include <errno.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include "call.h"
#include "files.h"
#include "nodes.h"
#include "protocol.h"

static void tell_attributes(const struct node *node)
{
	struct { struct answer head; struct tell_inode body; } all = {
		{sizeof all, TELL_INODE, 0}, {node->id, -1, 0},
	};

	if (write(device, &all, sizeof all) < 0)
		return; /* the kernel does not have it in memory */
}

static uint32_t cache_flags(const struct node *node)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec - node->mtime.tv_sec > SETTLED_SECONDS ? OPEN_KEEP_CACHE : 0;
}

int open_file(const struct call *call, int flags)
{
	struct open_answer out = {0};
	struct node *node = call->node;
	struct timespec mtime = node->mtime;
	int64_t size = node->size;
	int was_open = node->fd >= 0, error = open_node(node, flags);
	struct stat st;

	if (error != 0)
		return error;
	/* Who opens a file sees it as it is: the kernel may have known its end for VALID_NS. */
	if (S_ISREG(node->mode) && (!was_open || attributes_of(node, &st) == 0) && node->size != size)
		tell_attributes(node);
	if (flags & O_TRUNC && S_ISREG(node->mode)) {
		if (ftruncate(node->fd, 0) != 0) {
			error = errno;
			close_node(node);
			return error;
		}
		node->size = 0;
	} else if (S_ISREG(node->mode) && same_time(node->mtime, mtime)) {
		out.flags = cache_flags(node);
	}
	if (!answer(call, 0, &out, sizeof out))
		close_node(node);
	return 0;
}

int read_file(const struct call *call, const struct transfer_in *in)
{
	ssize_t n;

	if (call->node->fd < 0 || !S_ISREG(call->node->mode))
		return EBADF;
	freshen(call->node);
	n = pread(call->node->fd, data, in->size < TRANSFER ? in->size : TRANSFER, (off_t)in->offset);
	if (n < 0)
		return errno;
	answer(call, 0, data, (size_t)n);
	return 0;
}

int write_file(const struct call *call, const struct transfer_in *in)
{
	const unsigned char *from = (const unsigned char *)call->body + sizeof *in;
	struct write_answer out = {0};
	off_t offset = (off_t)in->offset;
	struct stat st;

	if (call->node->fd < 0 || !S_ISREG(call->node->mode) || in->size > call->bytes - sizeof *in)
		return EBADF;
	/* The kernel's idea of the end may be older than what the host has added. */
	if (in->flags & O_APPEND && attributes_of(call->node, &st) == 0 && st.st_size > offset)
		offset = st.st_size;
	while (out.size < in->size) {
		ssize_t n = pwrite(call->node->fd, from + out.size, in->size - out.size, offset + out.size);

		if (n <= 0) {
			if (out.size > 0)
				break;
			return n < 0 ? errno : EIO;
		}
		out.size += (uint32_t)n;
	}
	if (offset + out.size > call->node->size)
		call->node->size = offset + out.size;
	answer(call, 0, &out, sizeof out);
	return 0;
}

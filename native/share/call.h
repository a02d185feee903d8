/* A request of the kernel and the answer to it. */
#ifndef SHARE_CALL_H
#define SHARE_CALL_H

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/uio.h>

#include "nodes.h"

enum {
	TRANSFER = 1 << 20, /* bytes of one read or write */
	HEADROOM = 4096,
	LISTING = 1 << 16,
	BLOCK = 1 << 16,    /* what programs are told to write at once */
	VALID_NS = 100 * 1000 * 1000,
	/* A file changed more lately than this may change once more without another time to show for it. */
	SETTLED_SECONDS = 2,
	LARGEST_LISTED = 512, /* an entry with the longest name */
};

static unsigned char data[TRANSFER] __attribute__((aligned(8)));
static int device = -1;

/* What a request is about, and the rest of it: `bytes` of `body`. */
struct call {
	const struct request *head;
	struct node *node;
	const void *body;
	uint32_t bytes;
};

/* Returns 0 when nobody heard it: the asking process was killed meanwhile. */
static int answer(const struct call *call, int error, const void *body, size_t bytes)
{
	struct answer head = {(uint32_t)(sizeof head + bytes), -error, call->head->unique};
	struct iovec parts[] = {{&head, sizeof head}, {(void *)body, bytes}};

	return writev(device, parts, bytes > 0 ? 2 : 1) > 0;
}

/* The n-th string of the body, behind its first `skip` bytes. NULL with errno when it does not end in it or is no file's name. */
static const char *name_in(const struct call *call, uint32_t skip, int n)
{
	const char *text = (const char *)call->body + skip, *end = (const char *)call->body + call->bytes, *nul;

	for (; text < end && (nul = memchr(text, 0, (size_t)(end - text))) != NULL; text = nul + 1) {
		errno = nul - text > NAME_MAX ? ENAMETOOLONG : EINVAL;
		if (n-- == 0)
			return nul == text || nul - text > NAME_MAX || strchr(text, '/') || !strcmp(text, ".") || !strcmp(text, "..") ? NULL : text;
	}
	errno = EINVAL;
	return NULL;
}

#endif

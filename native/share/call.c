/* A request of the kernel and the answer to it. */
#include "call.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/uio.h>

unsigned char data[TRANSFER] __attribute__((aligned(8)));
int device = -1;

/* Returns 0 when nobody heard it: the asking process was killed meanwhile. */
int answer(const struct call *call, int error, const void *body, size_t bytes)
{
	struct answer head = {(uint32_t)(sizeof head + bytes), -error, call->head->unique};
	struct iovec parts[] = {{&head, sizeof head}, {(void *)body, bytes}};

	return writev(device, parts, bytes > 0 ? 2 : 1) > 0;
}

/* The n-th string of the body, behind its first `skip` bytes. NULL with errno when it does not end in it or is no file's name. */
const char *name_in(const struct call *call, uint32_t skip, int n)
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

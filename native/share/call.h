#ifndef PK_SHARE_CALL_H
#define PK_SHARE_CALL_H

#include <stddef.h>
#include <stdint.h>

#include "nodes.h"
#include "protocol.h"

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

/* What a request is about, and the rest of it: `bytes` of `body`. */
struct call {
	const struct request *head;
	struct node *node;
	const void *body;
	uint32_t bytes;
};

extern unsigned char data[TRANSFER] __attribute__((aligned(8)));
extern int device;

int answer(const struct call *call, int error, const void *body, size_t bytes);
const char *name_in(const struct call *call, uint32_t skip, int n);

#endif

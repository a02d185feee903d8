/* A bounded buffer between two sockets. It is filled only when empty, so that no bytes ever move inside. */
#ifndef PK_SHIM_BUFFER_H
#define PK_SHIM_BUFFER_H

#include <stddef.h>

#define RELAY_BYTES 32768

struct buffer {
	size_t from, to;
	char bytes[RELAY_BYTES];
};

int is_empty(const struct buffer *b);
int fill(struct buffer *b, int fd);
int flush_to(struct buffer *b, int fd);
void discard(struct buffer *b);

#endif

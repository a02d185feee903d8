/*
 * Streams between a kernel and the one that made it, by AF_VSOCK of the multikernel patches (net/vmw_vsock/mk_transport.c): who a peer
 * is the kernels say, 0 for the parent, else the id of the instance. No other two kernels can connect.
 */
#ifndef PK_VSOCK_H
#define PK_VSOCK_H

#include <stdint.h>

enum { VSOCK_PARENT = 0 };

/* All sockets do not block. -1 with errno where the kernel has none, or no right to a reserved port. */

/* Waits for connections to `port`. */
int vsock_listen(uint32_t port);
/* A connection of root of the kernel `cid`; others are closed. -1: none. */
int vsock_accept(int listener, uint32_t cid);
/* Of the patches' transport, from a port that only root may have; to be connected. ENOPROTOOPT: the kernel has no such transport. */
int vsock_open(void);
/* As vsock_open(), of whatever transport the kernel chooses. */
int vsock_open_any(void);
/* As connect(2). */
int vsock_connect(int fd, uint32_t cid, uint32_t port);

#endif

/*
 * The protocol of UML's management console, as far as the first process of a jail speaks it. The structures are those of
 * arch/um/drivers/mconsole.h in the kernel's source.
 */
#ifndef PK_JAIL_MCONSOLE_H
#define PK_JAIL_MCONSOLE_H

#include <stddef.h>
#include <stdint.h>

#define MCONSOLE_BYTES 512

struct mconsole_request {
	uint32_t magic, version, length;
	char data[MCONSOLE_BYTES];
};

struct mconsole_reply {
	uint32_t error, more, length;
	char data[MCONSOLE_BYTES];
};

int mconsole_send(int socket, const char *command);
int mconsole_receive(int socket, char *text, size_t *length, size_t size, int *failed);

#endif

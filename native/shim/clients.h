#ifndef PK_SHIM_CLIENTS_H
#define PK_SHIM_CLIENTS_H

#include <stddef.h>

#define LINE_BYTES 4096
#define CLIENTS 32

enum kind { FREE, READING, CONSOLE, WAITING, KILLING };

struct client {
	enum kind kind;
	int fd;
	size_t length;
	char text[LINE_BYTES + 1]; /* the request line */
};

extern struct client clients[CLIENTS];
extern int listener;

void drop_client(struct client *c);
void answer(struct client *c, const char *format, ...);
void accept_client(void);
void read_client(struct client *c);
void listen_here(void);

#endif

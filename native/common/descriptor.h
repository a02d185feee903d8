/* Open files: their end, and their way over a Unix socket, each with one byte. */
#ifndef PK_DESCRIPTOR_H
#define PK_DESCRIPTOR_H

/* Closes it unless it is -1, which it is then. */
void close_fd(int *fd);

/*
 * What comes to this socket brings no descriptors: to send some fails with EPERM (Linux 6.16). Whoever takes what they came with lets go of them, and their end can
 * keep him in the host's kernel as long as a file of theirs takes to be freed.
 */
void take_no_descriptors(int socket);

/* Returns 0, or -1. */
int send_descriptor(int socket, int fd, char byte);

/* Returns the descriptor, or -1 when what came has none: `byte` tells then. */
int receive_descriptor(int socket, char *byte);

#endif

/*
 * From which ports of the network's namespace datagrams go to the target. The kernel would give each socket one of some 28,000 that no
 * other has, of all published ports of all kernels together. Here sockets share a port where their targets differ, which tells answers
 * apart; those who have the same target take from different parts.
 */
#ifndef PK_FORWARD_PORTS_H
#define PK_FORWARD_PORTS_H

#include <stdint.h>

/* Takes them from part `part` of `parts` alone. -1: there is no such part. */
int use_part(unsigned long part, unsigned long parts);
/* Binds a socket to a port that no other flow of this process has. 0: there is none. */
uint16_t bind_to_port(int fd);
void give_port_back(uint16_t port);

#endif

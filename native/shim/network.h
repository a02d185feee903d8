#ifndef PK_SHIM_NETWORK_H
#define PK_SHIM_NETWORK_H

int network_tap(const char *namespace, const char *interface);
int network_packet(const char *namespace, const char *interface, const char *peer);

#endif

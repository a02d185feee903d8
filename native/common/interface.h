/* Network interfaces with IPv4 addresses, in the network namespace that this process is in. */
#ifndef PK_INTERFACE_H
#define PK_INTERFACE_H

/* Each returns 0, or an errno; EINVAL for what is no address. `netmask` may be NULL: that of the address's class. */
int interface_set_address(const char *name, const char *address, const char *netmask);
int interface_up(const char *name);
/* `address`: six pairs of hexadecimal digits with colons between them. The interface is down, or of a kind that does not mind. */
int interface_set_hardware(const char *name, const char *address);

#endif

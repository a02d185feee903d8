/* Entering a network namespace by a file of it, such as /run/netns/NAME or /proc/PID/ns/net. */
#ifndef PK_NAMESPACE_H
#define PK_NAMESPACE_H

/*
 * Where the namespace belongs to a user namespace of its own, as without root, that one is entered first: there is no way
 * back then. Returns 0, or -1.
 */
int namespace_enter(const char *file);

#endif

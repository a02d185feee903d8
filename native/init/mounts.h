#ifndef PK_INIT_MOUNTS_H
#define PK_INIT_MOUNTS_H

int do_mount(char *spec);
/*
 * Makes in /run the directories that a root has in its own, which is to lie below it: programs look for theirs there, as
 * /run/sshd. So many, and so deep, as people make them. 0 or an errno.
 */
int run_directories(const char *from);

int switch_root(const char *root);

#endif

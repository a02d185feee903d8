#ifndef PK_INIT_MOUNTS_H
#define PK_INIT_MOUNTS_H

int do_mount(char *spec);
/*
 * Makes in /run the directories that a root has in its own, which is to lie below it: programs look for theirs there, as
 * /run/sshd. So many, and so deep, as people make them. 0 or an errno.
 */
int run_directories(const char *from);

/* What lies below LAYERS is reached by no name any more then, in no list of mounts, and lasts as long as this kernel. */
int switch_root(const char *root);

/* A path that the host gives: what it has below LAYERS is found after switch_root() too, until leave_layers(). */
const char *layer_path(const char *path);
void leave_layers(void);

#endif

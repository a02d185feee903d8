#ifndef PK_INIT_MOUNTS_H
#define PK_INIT_MOUNTS_H

int do_mount(char *spec);
int switch_root(const char *root);

#endif

#ifndef PK_INIT_BOOT_H
#define PK_INIT_BOOT_H

int load_module(char *path);
void boot_mounts(void);
void boot_modules(void);

#endif

#ifndef PK_INIT_MODULES_H
#define PK_INIT_MODULES_H

void lend_modprobe(void);
int modules_room(char *spec);
int modules_show(char *spec);

#endif

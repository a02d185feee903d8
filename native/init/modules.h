#ifndef PK_INIT_MODULES_H
#define PK_INIT_MODULES_H

int modules_room(char *spec);
int modules_show(char *spec);

#endif

#ifndef PK_INIT_CHANNELS_H
#define PK_INIT_CHANNELS_H

int add_channel(char *spec);
int remove_channel(const char *name);

#endif

#ifndef PK_INIT_LAYERS_H
#define PK_INIT_LAYERS_H

int etc_room(char *spec);
int make_over(const char *lower, const char *upper);
int open_in_layer(const char *layer, const char *path, int flags);

#endif

/* The names by which programs find the machine that they run on. */
#ifndef PK_INIT_NAMES_H
#define PK_INIT_NAMES_H

/* LOWER, UPPER and NAME, separated by 0x1f: /etc/hosts of the root and where it is to stand with what it lacks. 0 or an errno. */
int own_name(char *spec);

#endif

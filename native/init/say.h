#ifndef PK_INIT_SAY_H
#define PK_INIT_SAY_H

void say(const char *what, const char *which);
_Noreturn void die(const char *what, const char *which);

#endif

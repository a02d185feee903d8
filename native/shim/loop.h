#ifndef PK_SHIM_LOOP_H
#define PK_SHIM_LOOP_H

void loop(void);

#endif

#ifndef PK_INIT_NETWORK_H
#define PK_INIT_NETWORK_H

int set_address(char *spec);
int leave_card(char *function);
int take_card(char *spec);

#endif

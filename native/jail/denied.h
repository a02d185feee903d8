#ifndef PK_JAIL_DENIED_H
#define PK_JAIL_DENIED_H

#include "filter.h"

#define CREATE_MACHINE 0xae01 /* linux/kvm.h: KVM_CREATE_VM */
#define SET_UNCUT 0x400454d0u /* linux/if_tun.h: TUNSETOFFLOAD */

void deny_calls(void);
void check_requests(enum filter_kind kind, unsigned machine_cpus);

/* The listener lets what is asked pass, or refuses it, by its number and registers; where it cannot, all passes. */
void ask_to_pass(void);
void ask_for(int number);

/* There is no listener. */
void let_pass(void);

#endif

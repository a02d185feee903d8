#ifndef PK_RING_CHECK_H
#define PK_RING_CHECK_H

#include <stdint.h>

int check_send(const char *path, uint32_t count, uint32_t longest, const char *ledger_path);
int check_receive(const char *path, uint32_t count, const char *ledger_path);

#endif

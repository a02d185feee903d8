/* CRC-32 as of IEEE 802.3. */
#ifndef PK_CRC_H
#define PK_CRC_H

#include <stddef.h>
#include <stdint.h>

/* Before the first sum. */
void crc_setup(void);

/* The sum of `n` more bytes at `p` when that of those before them is `c`: 0 for none. */
uint32_t crc(uint32_t c, const uint8_t *p, size_t n);

#endif

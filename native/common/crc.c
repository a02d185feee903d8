#include "crc.h"

#include <string.h>

static uint32_t table[8][256];

void crc_setup(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;

		for (int k = 0; k < 8; k++)
			c = c & 1 ? 0xedb88320u ^ c >> 1 : c >> 1;
		table[0][i] = c;
	}
	for (uint32_t i = 0; i < 256; i++)
		for (int k = 1; k < 8; k++)
			table[k][i] = table[0][table[k - 1][i] & 255] ^ table[k - 1][i] >> 8;
}

/* Eight bytes at a time: byte by byte it takes as long as the rest of the way, where instructions are emulated. */
uint32_t crc(uint32_t c, const uint8_t *p, size_t n)
{
	uint32_t (*t)[256] = table;

	for (c = ~c; n >= 8; n -= 8, p += 8) {
		uint64_t v;

		memcpy(&v, p, 8), v ^= c;
		c = t[7][v & 255] ^ t[6][v >> 8 & 255] ^ t[5][v >> 16 & 255] ^ t[4][v >> 24 & 255] ^ t[3][v >> 32 & 255] ^
			t[2][v >> 40 & 255] ^ t[1][v >> 48 & 255] ^ t[0][v >> 56];
	}
	for (; n--; p++)
		c = t[0][(c ^ *p) & 255] ^ c >> 8;
	return ~c;
}

/* Fields of a tar header, and how packing and unpacking fail. */
#include "tar.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void (*tar_failing)(void);

void tar_refuse(const char *why)
{
	fprintf(stderr, "refused=%s\n", why);
	exit(1);
}

void tar_fail(int error, const char *text)
{
	if (tar_failing) tar_failing();
	if (error) fprintf(stderr, "errno=%d %s\n", error, text);
	else fprintf(stderr, "%s\n", text);
	exit(1);
}

u32 tar_sum(const struct tar_header *h)
{
	u32 sum = 0;
	for (size_t i = 0; i < BLOCK; i++) {
		int own = i >= offsetof(struct tar_header, sum) && i < offsetof(struct tar_header, type);
		sum += own ? ' ' : ((const u8 *)h)[i];
	}
	return sum;
}

void tar_put(char *field, size_t width, u64 value)
{
	if (value >> (3 * (width - 1))) {
		char above = value >> 63 ? (char)0xff : 0;
		for (size_t i = width; i-- > 0; value >>= 8) field[i] = width - i > sizeof value ? above : (char)(value & 0xff);
		field[0] = (char)(field[0] | 0x80);
	} else {
		field[width - 1] = 0;
		for (size_t i = width - 1; i-- > 0; value >>= 3) field[i] = (char)('0' + (value & 7));
	}
}

u64 tar_get(const char *field, size_t width)
{
	u64 value = 0;
	if (field[0] & 0x80) {
		value = (u8)field[0] & 0x7f;
		for (size_t i = 1; i < width; i++) value = value << 8 | (u8)field[i];
		return value;
	}
	for (size_t i = 0; i < width; i++)
		if (field[i] >= '0' && field[i] <= '7') value = value << 3 | (u64)(field[i] - '0');
	return value;
}

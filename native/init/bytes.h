/* Numbers as they stand in frames: little-endian, at any address. */
#ifndef PK_INIT_BYTES_H
#define PK_INIT_BYTES_H

#include <stdint.h>

typedef uint8_t u8;

typedef uint32_t u32;

typedef uint64_t u64;

static inline u32 get16(const u8 *p) { return p[0] | (u32)p[1] << 8; }
static inline u32 get32(const u8 *p) { return get16(p) | get16(p + 2) << 16; }
static inline void put16(u8 *p, u32 v) { p[0] = (u8)v, p[1] = (u8)(v >> 8); }
static inline void put32(u8 *p, u32 v) { put16(p, v & 0xffff), put16(p + 2, v >> 16); }
static inline void put64(u8 *p, u64 v) { put32(p, (u32)v), put32(p + 4, (u32)(v >> 32)); }

#endif

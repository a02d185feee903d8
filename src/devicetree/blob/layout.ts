/** The flattened format (chapter 5). All words are big-endian. */

/** 5.2: first word of the header. */
export const MAGIC = 0xd00dfeed;
/** 5.2: a version 17 header; 16 lacks its last word, `size_dt_struct`. */
export const HEADER_BYTES = { 16: 36, 17: 40 } as const;
export const LAST_COMPATIBLE = 16;

/** Byte offsets of the header's words (5.2). */
export const HEADER = {
  magic: 0,
  totalSize: 4,
  structOffset: 8,
  stringsOffset: 12,
  reservationsOffset: 16,
  version: 20,
  lastCompatible: 24,
  bootCpu: 28,
  stringsSize: 32,
  structSize: 36,
} as const;

/** 5.4.1: what a part of the structure block begins with. */
export const TOKEN = { beginNode: 1, endNode: 2, property: 3, nop: 4, end: 9 } as const;

/** 5.3.2: address and size. */
export const RESERVATION_BYTES = 16;

/** 5.6: tokens are on multiples of four bytes, reservations on those of eight. */
export const aligned = (bytes: number, to: 4 | 8): number => Math.ceil(bytes / to) * to;

/** Cells: big-endian numbers of 32 bits (2.2.4, `<u32>`). */

export function u32Cell(value: number): Uint8Array {
  return Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value);
}

export function putCell(bytes: Uint8Array, at: number, value: number): void {
  bytes.set(u32Cell(value), at);
}

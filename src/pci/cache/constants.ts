/** Constants of a function that the cache itself needs: by which it is known again, and which need no hardware. */
import type { Layout, Zero } from '../layout.ts';
import { VIRTUAL_ZEROS } from '../rules/header.ts';
import { partOf, type Width } from '../source.ts';
import { serialNumber } from '../walk.ts';

/** Dwords by which a function is known again: ids, class and revision, subsystem, serial number. */
export function identityOf(layout: Layout, isVirtual: boolean): number[] {
  const serial = serialNumber(layout.capabilities);
  return [
    ...(isVirtual ? [] : [0x00]),
    0x08,
    ...(layout.headerType === 0 ? [0x2c] : []),
    ...(serial === undefined ? [] : [serial.offset + 4, serial.offset + 8]),
  ];
}

/** What is known without being read. */
export function* specifiedOf(layout: Layout, isVirtual: boolean): Generator<[at: number, width: Width, value: number]> {
  // All ones, as every virtual function says (PCIe 9.3.4.1.1).
  if (isVirtual) {
    yield [0, 4, 0xffffffff];
    if (layout.headerType === 0) for (const place of VIRTUAL_ZEROS) yield [place, 4, 0];
  }
  for (const { offset, registers } of layout.capabilities)
    for (const { at, bytes, isZero } of registers) if (isZero) yield [offset + at, bytes as Width, 0];
}

/** A bit for each of the bytes read that may not be kept: of a register that by the specification is zero, and is not. */
export function notZero(
  { zeros }: Layout,
  offset: number,
  width: Width,
  value: number,
  known: (at: number, width: Width) => number | undefined,
): number {
  let doubtful = 0;
  for (const zero of zeros.get(offset >> 2) ?? NONE) {
    const from = zero.offset - offset;
    const isWhole = from >= 0 && from + zero.bytes <= width;
    const isKept = zero.with === undefined || known(zero.with, zero.bytes) === 0;
    if (isWhole && isKept && partOf(value, from, zero.bytes) === 0) continue;
    for (let at = Math.max(from, 0); at < Math.min(from + zero.bytes, width); at++) doubtful |= 1 << at;
  }
  return doubtful;
}

/** The register that may be kept only as zero in which the byte at `at` lies. */
export const zeroAt = ({ zeros }: Layout, at: number): Zero | undefined =>
  zeros.get(at >> 2)?.find(({ offset, bytes }) => at >= offset && at < offset + bytes);

/** Bits of the byte at `at` that start something when they are written, and read as zero. */
export function startsOf(layout: Layout | undefined, at: number): number {
  const zero = layout === undefined ? undefined : zeroAt(layout, at);
  return zero === undefined ? 0 : (zero.but >> (8 * (at - zero.offset))) & 0xff;
}

const NONE: readonly Zero[] = [];

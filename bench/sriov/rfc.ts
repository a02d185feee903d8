/**
 * The rules of PCSC's RFC v1 (PCI Configuration Space Cache, linux-pci, October 2025) on a function of type 0, stated from its patches: what is
 * cacheable, that a read is served when all its bytes are cacheable and valid, that a write is an invalidation only when all its
 * bytes are cacheable, and that a reset forgets all that is valid.
 */
import type { Recorded, Trace } from './trace.ts';

/** Offset and length within a capability, by its id. */
const STANDARD: Readonly<Record<number, readonly (readonly [number, number])[]>> = {
  1: [[2, 2]],
  3: [[2, 2]],
  5: [[2, 18]],
  9: [[2, 1]],
  16: [
    [0x02, 8],
    [0x0c, 6],
    [0x14, 6],
    [0x1c, 4],
    [0x24, 6],
    [0x2c, 6],
    [0x34, 6],
  ],
  17: [[2, 10]],
  19: [[2, 2]],
  20: [[2, 2]],
};
const EXTENDED: Readonly<Record<number, readonly (readonly [number, number])[]>> = {
  13: [[4, 4]],
  14: [[4, 4]],
  15: [[4, 4]],
  27: [[4, 4]],
};
const INITIATE_RESET = 0x8000;

export interface Served {
  reads: number;
  hits: number;
  /** Served with something else than the function answered. */
  stale: number;
  /** Transactions of the cache's own: finding out what there is, proofs after a reset. */
  own: number;
  /** Reads that went through, by offset and width. */
  through: Map<string, number>;
}

export const noneServed = (): Served => ({ reads: 0, hits: 0, stale: 0, own: 0, through: new Map() });

export function went(served: Served, { offset, width }: Recorded): void {
  const key = `${offset.toString(16)}.${width}`;
  served.through.set(key, (served.through.get(key) ?? 0) + 1);
}

/** Replays a trace. `resets`: whether they are honoured. */
export function replayRfc({ image, accesses }: Trace, resets: boolean): Served {
  const { cacheable, express } = cacheableIn(image);
  const valid = new Uint8Array(4096);
  const shadow = new Uint8Array(4096);
  const served = noneServed();
  const all = (bytes: Uint8Array, { offset, width }: Recorded) =>
    bytes.subarray(offset, offset + width).every((each) => each === 1);
  // Filled when the device is added, without a read.
  for (const at of [0, 1, 2, 3]) valid[at] = 1;
  shadow.fill(0xff, 0, 4);
  for (const access of accesses) {
    const { kind, offset, width, value } = access;
    const bytes = Array.from({ length: width }, (_, index) => Math.floor(value / 2 ** (8 * index)) & 0xff);
    if (kind === 'write') {
      if (all(cacheable, access)) valid.fill(0, offset, offset + width);
      if (resets && offset === express + 8 && (value & INITIATE_RESET) !== 0) valid.fill(0);
      continue;
    }
    served.reads += 1;
    if (all(cacheable, access) && all(valid, access)) {
      served.hits += 1;
      if (bytes.some((byte, index) => shadow[offset + index] !== byte)) served.stale += 1;
      continue;
    }
    went(served, access);
    if (!all(cacheable, access)) continue;
    valid.fill(1, offset, offset + width);
    shadow.set(bytes, offset);
  }
  return served;
}

function cacheableIn(image: Uint8Array): { cacheable: Uint8Array; express: number } {
  const view = new DataView(image.buffer);
  const cacheable = new Uint8Array(4096);
  const mark = (at: number, length: number) => cacheable.fill(1, at, at + length);
  mark(0, 4);
  mark(0x08, 0x2d);
  mark(0x3c, 4);
  let express = -1;
  for (let at = image[0x34]! & 0xfc; at >= 0x40; at = image[at + 1]! & 0xfc) {
    mark(at, 2);
    if (image[at] === 16) express = at;
    for (const [from, length] of STANDARD[image[at]!] ?? []) mark(at + from, length);
  }
  for (let at = 0x100; at >= 0x100 && view.getUint32(at, true) !== 0; at = view.getUint32(at, true) >>> 20) {
    mark(at, 4);
    for (const [from, length] of EXTENDED[view.getUint16(at, true)] ?? []) mark(at + from, length);
  }
  return { cacheable, express };
}

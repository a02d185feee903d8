/** Asking the hardware whether what is known is true. */
import type { CachedFunction } from './function.ts';

export interface Found {
  /** Dwords compared. */
  compared: number;
  /** Where something else was there than what was known. */
  wrong: { address: string; offset: number; known: number; seen: number }[];
}

/** Compares each known dword with probability `share`, and forgets the functions of which something is wrong. */
export function verifyFunctions(functions: Iterable<CachedFunction>, share: number, random: () => number): Found {
  const found: Found = { compared: 0, wrong: [] };
  for (const each of functions) {
    each.layout();
    const before = found.wrong.length;
    for (const { offset, mask, value } of sureDwords(each)) {
      if (random() >= share) continue;
      const seen = each.access.read(offset, 4);
      if (seen === undefined) continue;
      found.compared += 1;
      if ((seen & mask) !== (value & mask)) found.wrong.push({ address: each.address, offset, known: value, seen });
    }
    if (found.wrong.length > before) each.forgetAll();
  }
  return found;
}

/** Known dwords that nobody else may have changed since, with a mask of the bytes that count. */
function* sureDwords(of: CachedFunction): Generator<{ offset: number; mask: number; value: number }> {
  for (let offset = 0; offset < of.size; offset += 4) {
    let [mask, value] = [0, 0];
    for (let index = 0; index < 4; index++) {
      const byte = of.sure(offset + index);
      if (byte === undefined) continue;
      mask += 0xff * 2 ** (8 * index);
      value += byte * 2 ** (8 * index);
    }
    if (mask !== 0) yield { offset, mask, value };
  }
}

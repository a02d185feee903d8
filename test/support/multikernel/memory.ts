/** Ranges of memory: what is free between those that are taken. */
export interface Range {
  base: number;
  bytes: number;
}

/** Where `bytes` fit first within `whole` besides `taken`, at a multiple of `align`. */
export function firstFit(whole: Range, taken: readonly Range[], bytes: number, align = 4096): number | undefined {
  let at = Math.ceil(whole.base / align) * align;
  for (const each of [...taken].sort((a, b) => a.base - b.base)) {
    if (each.base >= at + bytes) break;
    at = Math.max(at, Math.ceil((each.base + each.bytes) / align) * align);
  }
  return at + bytes <= whole.base + whole.bytes ? at : undefined;
}

/** The same from the other end. */
export function lastFit(whole: Range, taken: readonly Range[], bytes: number, align = 4096): number | undefined {
  let at = Math.floor((whole.base + whole.bytes - bytes) / align) * align;
  for (const each of [...taken].sort((a, b) => b.base - a.base)) {
    if (each.base + each.bytes <= at) break;
    at = Math.min(at, Math.floor((each.base - bytes) / align) * align);
  }
  return at >= whole.base ? at : undefined;
}

export const overlaps = (a: Range, b: Range): boolean => a.base < b.base + b.bytes && b.base < a.base + a.bytes;
export const within = (inner: Range, outer: Range): boolean =>
  inner.base >= outer.base && inner.base + inner.bytes <= outer.base + outer.bytes;

/** Where the pool's memory really is, and what of it is taken: /proc/iomem, as root sees it. */
import type { MemoryRange } from '../../devicetree/multikernel/index.ts';

export interface PoolChunk extends MemoryRange {
  /** What lies in it, by name. */
  readonly taken: readonly (MemoryRange & { readonly name: string })[];
}

const POOL = 'Multikernel Memory Pool';
const LINE = /^( *)([0-9a-f]+)-([0-9a-f]+) : (.*)$/;

/** The chunks of the pool. One level of what is in them: the regions of instances, and what else was put there. */
export function parseIomem(text: string): PoolChunk[] {
  const chunks: (MemoryRange & { taken: (MemoryRange & { name: string })[]; depth: number })[] = [];
  let open: (typeof chunks)[number] | undefined;
  for (const line of text.split('\n')) {
    const [, indent, first, last, name] = LINE.exec(line) ?? [];
    if (name === undefined) continue;
    const base = Number.parseInt(first!, 16);
    const range = { base, bytes: Number.parseInt(last!, 16) - base + 1 };
    const depth = indent!.length;
    if (open !== undefined && depth <= open.depth) open = undefined;
    if (name === POOL) {
      open = { ...range, taken: [], depth };
      chunks.push(open);
    } else if (open !== undefined && depth === open.depth + 2) open.taken.push({ ...range, name });
  }
  return chunks.map(({ base, bytes, taken }) => ({ base, bytes, taken }));
}

/** The longest piece of a chunk that nothing takes, in bytes. */
export function largestGap({ base, bytes, taken }: PoolChunk): number {
  let at = base;
  let largest = 0;
  for (const each of [...taken].sort((a, b) => a.base - b.base)) {
    largest = Math.max(largest, each.base - at);
    at = Math.max(at, each.base + each.bytes);
  }
  return Math.max(largest, base + bytes - at);
}

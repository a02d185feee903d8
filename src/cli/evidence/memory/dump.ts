/** What a memory dump can be asked, of whichever format it is. */
import type { CpuRegisters } from './registers.ts';

export interface Dump {
  /** For people. */
  format: string;
  registers: CpuRegisters[];
  /** The place of each page that is there and may begin with something, in no order that means something. */
  pages(): Iterable<number>;
  /** By place in the guest's memory; undefined where nothing is. */
  page(place: number): Buffer | undefined;
  /** By the kernel's own addresses, once it is known what the kernel says of itself; undefined where nothing is. */
  reader(facts: ReadonlyMap<string, string>): (address: bigint, length: number) => Buffer | undefined;
}

export const PAGE = 4096;

/** Reads across pages what `page` has page by page. Not more than a mebibyte. */
export function acrossPages(
  page: (address: bigint) => Buffer | undefined,
): (address: bigint, length: number) => Buffer | undefined {
  return (address, length) => {
    if (!Number.isSafeInteger(length) || length < 0 || length > 2 ** 20) return undefined;
    const bytes = Buffer.alloc(length);
    for (let done = 0; done < length; ) {
      const at = address + BigInt(done);
      const within = Number(at & BigInt(PAGE - 1));
      const count = Math.min(length - done, PAGE - within);
      const part = page(at - BigInt(within));
      if (part === undefined || part.length < within + count) return undefined;
      part.copy(bytes, done, within, within + count);
      done += count;
    }
    return bytes;
  };
}

/** How large a page of memory is: what the kernel tells programs, else what each architecture has. */
import type { MachineFiles } from './files.ts';
import type { Warnings } from './warnings.ts';

const KIB = 1024;
/** AT_PAGESZ of getauxval(3). */
const AT_PAGESZ = 6;
const ONLY_4K: ReadonlySet<string> = new Set(['x86_64', 'i686', 's390x', 'riscv64']);
/** arm64: the default huge page, which one page of page-table entries maps, gives the base page away. */
const BY_HUGE_PAGE: Readonly<Record<number, number>> = { 2048: 4 * KIB, 32768: 16 * KIB, 524288: 64 * KIB };

const USUAL: Readonly<Record<string, number>> = {
  ppc64: 64 * KIB,
  ppc64le: 64 * KIB,
  ia64: 16 * KIB,
  sparc64: 8 * KIB,
};
const BIG_ENDIAN: ReadonlySet<string> = new Set(['ppc64', 's390x', 'sparc64']);

/** Base page size in bytes. Where nothing says it, what distributions build for the architecture, with a warning. */
export function readPageBytes(files: MachineFiles, architecture: string, warnings: Warnings): number {
  if (ONLY_4K.has(architecture)) return 4 * KIB;
  const told = fromAuxiliaryVector(files.bytes('proc/self/auxv', 4096), architecture);
  if (told !== undefined) return told;
  const huge = Number(/^Hugepagesize:\s*(\d{1,9}) kB$/m.exec(files.text('proc/meminfo') ?? '')?.[1]);
  if (architecture === 'aarch64' && BY_HUGE_PAGE[huge] !== undefined) return BY_HUGE_PAGE[huge];
  const usual = USUAL[architecture] ?? 4 * KIB;
  warnings.add(`Nothing says how large a page is; ${usual / KIB} KiB are taken, as on most such machines.`);
  return usual;
}

/** Pairs of 64-bit words in the machine's byte order; each architecture here has one. */
function fromAuxiliaryVector(vector: Buffer | undefined, architecture: string): number | undefined {
  if (vector === undefined || architecture === 'unknown') return undefined;
  const big = BIG_ENDIAN.has(architecture);
  for (let at = 0; at + 16 <= vector.length; at += 16) {
    const word = (offset: number) => Number(big ? vector.readBigUInt64BE(offset) : vector.readBigUInt64LE(offset));
    const size = word(at + 8);
    if (word(at) === AT_PAGESZ && [4, 8, 16, 64, 256].includes(size / KIB)) return size;
  }
  return undefined;
}

/** Where the kernel's addresses lie in the memory of an x86-64 machine, by its own page tables. */

const KERNEL_TEXT = 0xffffffff80000000n;
const KERNEL_TEXT_BYTES = 0x40000000n;
const PRESENT = 1n;
const LARGE = 0x80n;
const ADDRESS = 0x000ffffffffff000n;

/** `facts`: what the kernel says of itself. Nothing is found where they do not say where its tables are. */
export function physicalOf(
  facts: ReadonlyMap<string, string>,
  page: (place: number) => Buffer | undefined,
): (address: bigint) => number | undefined {
  const base = decimal(facts.get('NUMBER(phys_base)'));
  const root = hex(facts.get('SYMBOL(init_top_pgt)') ?? facts.get('SYMBOL(swapper_pg_dir)'));
  const levels = facts.get('NUMBER(pgtable_l5_enabled)') === '1' ? 5 : 4;
  const inText = (address: bigint) => address >= KERNEL_TEXT && address < KERNEL_TEXT + KERNEL_TEXT_BYTES;
  return (address) => {
    if (base === undefined) return undefined;
    if (inText(address)) return placeOf(address - KERNEL_TEXT + base);
    if (root === undefined || !inText(root)) return undefined;
    let table = placeOf(root - KERNEL_TEXT + base);
    for (let level = levels; level > 0; level--) {
      const shift = BigInt(12 + (level - 1) * 9);
      const entries = table === undefined ? undefined : page(table);
      if (entries?.length !== 4096) return undefined;
      const entry = entries.readBigUInt64LE(Number((address >> shift) & 511n) * 8);
      if ((entry & PRESENT) === 0n) return undefined;
      const within = (1n << shift) - 1n;
      // The lowest bits of a large page's place are flags.
      if (level > 1 && level < 4 && (entry & LARGE) !== 0n)
        return placeOf((entry & ADDRESS & ~within) | (address & within & ~0xfffn));
      table = placeOf(entry & ADDRESS);
    }
    return table;
  };
}

const placeOf = (place: bigint): number | undefined =>
  place >= 0n && place < 1n << 48n ? Number(place & ~0xfffn) : undefined;

const hex = (text: string | undefined): bigint | undefined =>
  text !== undefined && /^[0-9a-f]{1,16}$/.test(text) ? BigInt(`0x${text}`) : undefined;
const decimal = (text: string | undefined): bigint | undefined =>
  text !== undefined && /^-?\d{1,20}$/.test(text) ? BigInt(text) : undefined;

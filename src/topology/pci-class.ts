/** Words for PCI class codes (PCI Code and ID Assignment Specification). */

/** By the upper two bytes, then by the first alone. */
const WORDS: Readonly<Record<number, string>> = {
  260: 'RAID',
  262: 'SATA',
  263: 'SAS',
  264: 'NVMe',
  640: 'network',
  1027: 'audio',
  1536: 'host bridge',
  1540: 'bridge',
  2176: 'system',
  3075: 'USB',
  1: 'storage',
  2: 'network',
  3: 'display',
  4: 'multimedia',
  5: 'memory',
  6: 'bridge',
  7: 'serial',
  8: 'system',
  11: 'processor',
  12: 'serial bus',
  13: 'wireless',
  16: 'encryption',
  17: 'signal',
  18: 'accelerator',
};

/** `network`, `NVMe`, `bridge`; `class 0xff00` where there is no word. */
export function pciClassWord(code: number): string {
  return WORDS[code >> 8] ?? WORDS[code >> 16] ?? `class 0x${(code >> 8).toString(16).padStart(4, '0')}`;
}

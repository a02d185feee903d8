/** The kernel's two ways of writing sets of CPUs and nodes: lists, `0-3,8`, and masks, `00000001,0000000f` (lib/bitmap.c). */

/** Highest number accepted: far above any kernel's NR_CPUS (8192 today), and low enough that no list can fill memory. */
export const MAX_CPU = 65_535;

/**
 * Parses the list format, as in Cpus_allowed_list, to ascending numbers.
 * Throws RangeError saying why: other syntax, the empty list, a range that runs backwards, a number above MAX_CPU, or one
 * that is named twice, which in what a person wrote is a mistake and which no kernel writes.
 */
export function parseCpuList(text: string): number[] {
  const cpus: number[] = [];
  for (const part of text.trim().split(',')) {
    const match = /^\s*(\d{1,10})(?:-(\d{1,10}))?\s*$/.exec(part);
    if (match === null) throw new RangeError(`not a CPU list: ${JSON.stringify(clipped(text))}`);
    const first = Number(match[1]);
    const last = Number(match[2] ?? match[1]);
    if (last > MAX_CPU || first > MAX_CPU)
      throw new RangeError(`${part.trim()} is above the highest number, ${MAX_CPU}`);
    if (last < first) throw new RangeError(`the range ${part.trim()} runs backwards`);
    // Overlapping ranges cannot pile up beyond one full set.
    if (cpus.length + last - first > MAX_CPU)
      throw new RangeError('more numbers than there can be: some are named twice');
    for (let cpu = first; cpu <= last; cpu++) cpus.push(cpu);
  }
  cpus.sort((a, b) => a - b);
  const twice = cpus.find((cpu, index) => cpu === cpus[index + 1]);
  if (twice !== undefined) throw new RangeError(`${twice} is named twice`);
  return cpus;
}

/** The list format, with ascending ranges; empty text for no CPU. */
export function formatCpuList(cpus: readonly number[]): string {
  const sorted = [...new Set(cpus)].sort((a, b) => a - b);
  const ranges: string[] = [];
  for (let first = 0; first < sorted.length; ) {
    let last = first;
    while (sorted[last + 1] === sorted[last]! + 1) last += 1;
    ranges.push(first === last ? `${sorted[first]}` : `${sorted[first]}-${sorted[last]}`);
    first = last + 1;
  }
  return ranges.join(',');
}

/** `CPU 3`, `CPUs 4-7`, for people, whatever their order. */
export const cpusText = (cpus: readonly number[]): string =>
  `CPU${cpus.length === 1 ? '' : 's'} ${formatCpuList([...cpus].sort((a, b) => a - b))}`;

/** Parses the mask format: words of 32 bits in hexadecimal, the highest first. Throws RangeError on anything else. */
export function parseCpuMask(text: string): number[] {
  const trimmed = text.trim();
  if (!/^[\da-f]{1,8}(,[\da-f]{1,8}){0,2047}$/i.test(trimmed)) {
    throw new RangeError(`not a CPU mask: ${JSON.stringify(clipped(text))}`);
  }
  const cpus: number[] = [];
  for (const [index, word] of trimmed.split(',').reverse().entries()) {
    let bits = Number.parseInt(word, 16);
    for (let cpu = index * 32; bits !== 0; cpu++, bits >>>= 1) if (bits & 1) cpus.push(cpu);
  }
  return cpus;
}

/** The mask format with at least `words` words; all words but the first have eight digits. */
export function formatCpuMask(cpus: readonly number[], words = 1): string {
  const bits = new Array<number>(Math.max(words, ...cpus.map((cpu) => Math.floor(cpu / 32) + 1))).fill(0);
  for (const cpu of cpus) bits[Math.floor(cpu / 32)]! |= 1 << (cpu % 32);
  const [first = '0', ...rest] = bits.reverse().map((word) => (word >>> 0).toString(16));
  return [first, ...rest.map((word) => word.padStart(8, '0'))].join(',');
}

const clipped = (text: string): string => (text.length > 60 ? `${text.slice(0, 60)}…` : text);

/** /proc/cpuinfo: what is left when sysfs does not say it. Every architecture writes it differently. */
import type { MachineFiles } from './files.ts';

export interface CpuinfoEntry {
  id: number;
  package: number | null;
  core: number | null;
  apicId: number | null;
}

/**
 * The online CPUs that /proc/cpuinfo lists. x86 has `physical id` and `core id`; s390 has `processor 0: ...` lines and
 * then a block of `cpu number : 0` each; arm64, ppc64 and riscv have `processor : 0` and no place.
 */
export function readCpuinfo(files: MachineFiles): Map<number, CpuinfoEntry> {
  const entries = new Map<number, CpuinfoEntry>();
  let entry: CpuinfoEntry | undefined;
  for (const line of (files.text('proc/cpuinfo') ?? '').split('\n')) {
    const start = /^(?:processor\s*:\s*(\d{1,5})|processor (\d{1,5}):.*|cpu number\s*:\s*(\d{1,5}))\s*$/.exec(line);
    if (start !== null) {
      const id = Number(start[1] ?? start[2] ?? start[3]);
      entry = entries.get(id) ?? { id, package: null, core: null, apicId: null };
      entries.set(id, entry);
      continue;
    }
    const field = /^(physical id|core id|apicid)\s*:\s*(\d{1,9})\s*$/.exec(line);
    if (field === null || entry === undefined) continue;
    entry[FIELDS[field[1]!]!] = Number(field[2]);
  }
  return entries;
}

const FIELDS: Readonly<Record<string, 'package' | 'core' | 'apicId'>> = {
  'physical id': 'package',
  'core id': 'core',
  apicid: 'apicId',
};

/** Whether its CPUs have such ids: without them the whole file, which is long on large machines, need not be read. */
export const hasApicIds = (files: MachineFiles): boolean =>
  /^apicid\s*:/m.test(files.text('proc/cpuinfo', HEAD_BYTES) ?? '');

/** Enough for the first CPU's block on every architecture. */
const HEAD_BYTES = 64 * 1024;

/** As `uname -m`. Linux >= 6.1 says it in procfs; else it is what only one architecture's cpuinfo has. */
export function readArchitecture(files: MachineFiles): string {
  const said = files.text('proc/sys/kernel/arch', 64);
  if (said !== undefined && /^[a-z]\w*$/.test(said)) return said;
  const cpuinfo = files.text('proc/cpuinfo', HEAD_BYTES) ?? '';
  return SIGNS.find(([, sign]) => sign.test(cpuinfo))?.[0] ?? 'unknown';
}

const SIGNS: readonly (readonly [string, RegExp])[] = [
  ['s390x', /^vendor_id\s*:\s*IBM\/S390/m],
  ['x86_64', /^flags\s*:.*\blm\b/m],
  ['i686', /^flags\s*:.*\bfpu\b/m],
  ['aarch64', /^CPU architecture\s*:\s*(8|AArch64)/m],
  ['armv7l', /^CPU architecture\s*:\s*7/m],
  // Linux runs POWER8 and later little-endian nearly everywhere; cpuinfo does not tell.
  ['ppc64le', /^cpu\s*:\s*POWER(8|9|1\d)/m],
  ['ppc64', /^cpu\s*:\s*(POWER|PPC)/m],
  ['ia64', /^arch\s*:\s*IA-64/m],
  ['sparc64', /^type\s*:\s*sun4[uv]/m],
  ['riscv64', /^isa\s*:\s*rv64/m],
  ['loongarch64', /^CPU Family\s*:\s*Loongson-64bit/im],
];

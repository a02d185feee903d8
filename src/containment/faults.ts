/** The faults that can be tried: what each does, and by what it is known that it took hold. Light: commands load it. */

export interface Fault {
  summary: string;
  /** What its work is counted in; null when it does none. */
  unit: string | null;
  /** With so much work done it took hold. */
  least: number;
  /** It took hold as well when nothing is heard of its kernel any more. */
  silences?: boolean;
  /** How the daemon tells of it, once it does; null when it is no loss. */
  told: 'crashed' | 'hung' | 'out-of-memory' | null;
  /** Its kernel wants a disk of this machine, or a network. */
  needs?: 'disk' | 'network';
}

const TABLE = {
  panic: { summary: 'its kernel panics, by the magic SysRq', unit: null, least: Infinity, told: 'crashed' },
  hang: {
    summary: 'programs of the highest real-time priority keep every CPU of its kernel, and nothing else runs',
    unit: null,
    least: Infinity,
    silences: true,
    told: 'hung',
  },
  oom: {
    summary: 'one program after the other takes all memory until its kernel kills it',
    unit: 'programs killed',
    least: 1,
    silences: true,
    told: 'out-of-memory',
  },
  'cpu-hog': { summary: 'two programs for each CPU compute', unit: 'million loops', least: 1, told: null },
  'mem-hog': {
    summary: 'three quarters of its free memory are written to again and again',
    unit: 'MiB',
    least: 1,
    told: null,
  },
  'io-hog': {
    summary: 'a file on a disk of this machine is written to, each MiB made durable',
    unit: 'MiB',
    least: 1,
    told: null,
    needs: 'disk',
  },
  'fork-bomb': {
    summary: 'a program forks, and so does each that comes of it',
    unit: 'forks',
    least: 100,
    silences: true,
    told: null,
  },
  'net-flood': {
    summary: 'datagrams to its neighbours as fast as they go',
    unit: 'datagrams',
    least: 1,
    told: null,
    needs: 'network',
  },
  'clock-jump': { summary: 'its wall clock is set an hour ahead', unit: 'seconds', least: 1, told: null },
} as const satisfies Readonly<Record<string, Fault>>;

export type FaultName = keyof typeof TABLE;
export const FAULTS: Readonly<Record<FaultName, Fault>> = TABLE;
export const FAULT_NAMES = Object.keys(FAULTS) as FaultName[];
/** A neighbour whose clock went with the victim's is this far off. */
export const CLOCK_LIMIT_MS = 1_800_000;

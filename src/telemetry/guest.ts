/**
 * What a guest's /proc says of it, as numbers. Pure; what comes in is hostile: a value that is no sane number is null, and
 * nothing grows with what a guest writes.
 */

/** Files to be read, in the order in which a round brings them; the last one ends it. */
export const GUEST_FILES = [
  '/proc/stat',
  '/proc/meminfo',
  '/proc/vmstat',
  '/proc/net/dev',
  '/proc/pressure/cpu',
  '/proc/loadavg',
];

/** Clock ticks per second of the counters in /proc/stat (USER_HZ), on every machine that Linux runs on here. */
const USER_HZ = 100;
const CPU_STATES = ['user', 'nice', 'system', 'idle', 'iowait', 'irq', 'softirq', 'steal'] as const;

export type CpuState = (typeof CPU_STATES)[number];

/** Counters count since the guest's boot. */
export interface GuestSample {
  /** Milliseconds since 1970, of the host. */
  at: number;
  /** Seconds of all CPUs together, by state; null when unknown. */
  cpuSeconds: Record<CpuState, number> | null;
  /** Tasks that run or could. */
  runnable: number | null;
  load1: number | null;
  memoryTotalBytes: number | null;
  memoryAvailableBytes: number | null;
  pageFaults: number | null;
  majorFaults: number | null;
  /** Of all cards but the loopback. */
  receivedBytes: number | null;
  sentBytes: number | null;
  /** Seconds in which a task waited for a CPU; null where the kernel does not count that (CONFIG_PSI), as Debian's UML. */
  cpuPressureSeconds: number | null;
}

/** `files`: contents by path; what is missing is unknown. */
export function guestSample(at: number, files: ReadonlyMap<string, string>): GuestSample {
  const text = (path: string) => files.get(path) ?? '';
  const [load1, runnable] = loadAverage(text('/proc/loadavg'));
  const network = networkBytes(text('/proc/net/dev'));
  const pressure = /^some .*total=(\d{1,15})$/m.exec(text('/proc/pressure/cpu'))?.[1];
  return {
    at,
    cpuSeconds: cpuSeconds(text('/proc/stat')),
    runnable,
    load1,
    memoryTotalBytes: field(text('/proc/meminfo'), /^MemTotal: +(\d{1,12}) kB$/m, 1024),
    memoryAvailableBytes: field(text('/proc/meminfo'), /^MemAvailable: +(\d{1,12}) kB$/m, 1024),
    pageFaults: field(text('/proc/vmstat'), /^pgfault (\d{1,15})$/m),
    majorFaults: field(text('/proc/vmstat'), /^pgmajfault (\d{1,15})$/m),
    receivedBytes: network?.received ?? null,
    sentBytes: network?.sent ?? null,
    cpuPressureSeconds: pressure === undefined ? null : Number(pressure) / 1e6,
  };
}

function cpuSeconds(text: string): GuestSample['cpuSeconds'] {
  const numbers = /^cpu +([\d ]{1,300})$/m.exec(text)?.[1]?.split(' ').map(Number) ?? [];
  if (numbers.length < CPU_STATES.length || !numbers.every(Number.isSafeInteger)) return null;
  return Object.fromEntries(CPU_STATES.map((state, index) => [state, numbers[index]! / USER_HZ])) as Record<
    CpuState,
    number
  >;
}

function loadAverage(text: string): [number | null, number | null] {
  const match = /^(\d{1,6}\.\d\d) \d+\.\d+ \d+\.\d+ (\d{1,7})\/\d/.exec(text);
  return match === null ? [null, null] : [Number(match[1]), Number(match[2])];
}

function networkBytes(text: string): { received: number; sent: number } | undefined {
  let found = false;
  const sum = { received: 0, sent: 0 };
  for (const line of text.split('\n').slice(2, 66)) {
    const [card, values = ''] = line.split(':');
    if (card === undefined || values === '' || card.trim() === 'lo') continue;
    const numbers = values.trim().split(/ +/).map(Number);
    const [received, sent] = [numbers[0], numbers[8]];
    if (!Number.isSafeInteger(received) || !Number.isSafeInteger(sent)) continue;
    found = true;
    sum.received += received!;
    sum.sent += sent!;
  }
  return found ? sum : undefined;
}

function field(text: string, pattern: RegExp, factor = 1): number | null {
  const value = pattern.exec(text)?.[1];
  return value === undefined ? null : Number(value) * factor;
}

/** What happened per second between two samples; null where one does not say, or a counter ran backwards (a new kernel). */
export interface GuestRates {
  seconds: number;
  /** Share of all CPUs, 0 to 1, that was neither idle nor waiting for input and output. */
  cpuBusy: number | null;
  cpuSteal: number | null;
  pageFaultsPerSecond: number | null;
  receivedBytesPerSecond: number | null;
  sentBytesPerSecond: number | null;
  /** Share of the time in which a task waited for a CPU. */
  cpuPressure: number | null;
}

export function guestRates(before: GuestSample, after: GuestSample): GuestRates {
  const seconds = (after.at - before.at) / 1000;
  const rate = (of: (sample: GuestSample) => number | null) => {
    const [from, to] = [of(before), of(after)];
    return from === null || to === null || to < from || seconds <= 0 ? null : (to - from) / seconds;
  };
  const total = (sample: GuestSample) =>
    sample.cpuSeconds && Object.values(sample.cpuSeconds).reduce((sum, value) => sum + value, 0);
  const all = rate(total);
  const share = (of: (states: Record<CpuState, number>) => number) => {
    const part = rate((sample) => sample.cpuSeconds && of(sample.cpuSeconds));
    return part === null || !all ? null : Math.min(1, part / all);
  };
  const pressure = rate(({ cpuPressureSeconds }) => cpuPressureSeconds);
  return {
    seconds,
    cpuBusy: share(({ idle, iowait, ...busy }) => Object.values(busy).reduce((sum, value) => sum + value, 0)),
    cpuSteal: share(({ steal }) => steal),
    pageFaultsPerSecond: rate(({ pageFaults }) => pageFaults),
    receivedBytesPerSecond: rate(({ receivedBytes }) => receivedBytes),
    sentBytesPerSecond: rate(({ sentBytes }) => sentBytes),
    cpuPressure: pressure === null ? null : Math.min(1, pressure),
  };
}

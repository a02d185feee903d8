/**
 * Files of /proc as a guest sends them. A guest may send anything: every number is checked and bounded, every list is cut,
 * and what makes no sense is null, never an error.
 */
import {
  CPU_STATES,
  type CpuState,
  type DiskCounters,
  type GuestMemory,
  type NetworkCounters,
  type Stall,
} from './types.ts';

/** USER_HZ: what /proc counts CPU time in, on every architecture we run. */
const TICKS_PER_SECOND = 100;
/** As SECTOR_SIZE in Linux, whatever the disk has. */
const SECTOR_BYTES = 512;
const MAX_CPUS = 8192;
const MAX_LINES = 512;
const MAX_BYTES = 64 * 1024;

/** A whole number that fits into a double; null for anything else. */
function whole(text: string | undefined): number | null {
  if (text === undefined || !/^\d{1,16}$/.test(text)) return null;
  const number = Number(text);
  return Number.isSafeInteger(number) ? number : null;
}

const textOf = (content: Uint8Array): string =>
  Buffer.from(content.buffer, content.byteOffset, Math.min(content.byteLength, MAX_BYTES)).toString('latin1');

/** All of `words`, or null. */
function wholes(words: readonly (string | undefined)[]): number[] | null {
  const numbers: number[] = [];
  for (const word of words) {
    const number = whole(word);
    if (number === null) return null;
    numbers.push(number);
  }
  return numbers;
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);

export interface StatFile {
  cpus: number | null;
  cpuSeconds: Record<CpuState, number> | null;
  runnable: number | null;
  blocked: number | null;
}

/** /proc/stat of proc(5). */
export function parseStat(content: Uint8Array): StatFile {
  const text = textOf(content);
  const lines = text.split('\n', MAX_CPUS + 1);
  const online = lines.filter((line) => /^cpu\d/.test(line)).length;
  const fields = wholes(
    /^cpu {1,2}([\d ]{1,400})$/m
      .exec(lines[0] ?? '')?.[1]
      ?.trim()
      .split(/ +/)
      .slice(0, 8) ?? [],
  );
  const [user = 0, nice = 0, system = 0, idle = 0, iowait = 0, irq = 0, softirq = 0, steal = 0] = fields ?? [];
  const ticks = [user + nice, system, idle, iowait, irq + softirq, steal];
  const known = fields !== null && fields.length >= 4;
  return {
    cpus: online > 0 ? online : null,
    cpuSeconds: known
      ? (Object.fromEntries(
          CPU_STATES.map((state, at) => [state, ticks[at]! / TICKS_PER_SECOND]),
        ) as StatFile['cpuSeconds'])
      : null,
    runnable: whole(/^procs_running (\d+)$/m.exec(text)?.[1]),
    blocked: whole(/^procs_blocked (\d+)$/m.exec(text)?.[1]),
  };
}

/** /proc/meminfo. Null when it has no total, or more available than there is. */
export function parseMeminfo(content: Uint8Array): GuestMemory | null {
  const text = textOf(content);
  const bytes = (name: string): number | null => {
    const kilobytes = whole(new RegExp(`^${name}: {1,20}(\\d{1,13}) kB$`, 'm').exec(text)?.[1]);
    return kilobytes === null ? null : kilobytes * 1024;
  };
  const totalBytes = bytes('MemTotal');
  const availableBytes = bytes('MemAvailable') ?? bytes('MemFree');
  if (totalBytes === null || availableBytes === null || availableBytes > totalBytes) return null;
  return {
    totalBytes,
    availableBytes,
    usedBytes: totalBytes - availableBytes,
    cachedBytes: Math.min((bytes('Cached') ?? 0) + (bytes('Buffers') ?? 0), totalBytes),
  };
}

/** /proc/vmstat: page faults, of them those that had to read, and pages that were read again soon after they had been given up (0: it does not say). */
export function parseFaults(content: Uint8Array): { minor: number; major: number; refaults: number } | null {
  const text = textOf(content);
  const all = whole(/^pgfault (\d+)$/m.exec(text)?.[1]);
  const major = whole(/^pgmajfault (\d+)$/m.exec(text)?.[1]);
  // Linux before 5.9 has but one sum.
  const refaults = [...text.matchAll(/^workingset_refault(?:_anon|_file)? (\d+)$/gm)].slice(0, 2);
  const again = refaults.reduce((sum, match) => sum + (whole(match[1]) ?? 0), 0);
  return all === null || major === null || major > all ? null : { minor: all - major, major, refaults: again };
}

/** /proc/vmstat: processes killed for want of memory. */
export const parseOomKills = (content: Uint8Array): number | null =>
  whole(/^oom_kill (\d+)$/m.exec(textOf(content))?.[1]);

/** Not a disk of its own: a partition, or a device made of others. */
const NO_DISK =
  /^(?:(?:loop|ram|zram|dm-|md|sr|fd|nbd)\d|(?:[hsv]d|xvd|ubd)[a-z]{1,4}\d|(?:nvme\d{1,4}n\d{1,4}|mmcblk\d{1,4})p\d)/;

/** /proc/diskstats, summed over whole disks; zeros when there is none. */
export function parseDiskstats(content: Uint8Array): DiskCounters {
  const disk: DiskCounters = { readBytes: 0, writtenBytes: 0, reads: 0, writes: 0 };
  for (const line of textOf(content).split('\n', MAX_LINES)) {
    const words = line.trim().split(/ +/, 11);
    const numbers = wholes([words[3], words[5], words[7], words[9]]);
    if (numbers === null || NO_DISK.test(words[2]!)) continue;
    const [reads, readSectors, writes, writtenSectors] = numbers as [number, number, number, number];
    disk.reads += reads;
    disk.writes += writes;
    disk.readBytes += readSectors * SECTOR_BYTES;
    disk.writtenBytes += writtenSectors * SECTOR_BYTES;
  }
  return disk;
}

/** /proc/net/dev, summed over all interfaces but the loopback; zeros when there is none. */
export function parseNetDev(content: Uint8Array): NetworkCounters {
  const network: NetworkCounters = { receivedBytes: 0, sentBytes: 0, receivedPackets: 0, sentPackets: 0, faults: 0 };
  for (const line of textOf(content).split('\n', MAX_LINES)) {
    const [name, counters] = line.split(':', 2);
    const words = counters?.trim().split(/ +/, 16) ?? [];
    if (name?.trim() === 'lo') continue;
    const numbers = wholes([0, 1, 2, 3, 8, 9, 10, 11].map((at) => words[at]));
    if (numbers === null) continue;
    network.receivedBytes += numbers[0]!;
    network.receivedPackets += numbers[1]!;
    network.sentBytes += numbers[4]!;
    network.sentPackets += numbers[5]!;
    network.faults += sum([numbers[2]!, numbers[3]!, numbers[6]!, numbers[7]!]);
  }
  return network;
}

/** One of /proc/pressure. Older kernels have no `full` for cpu. */
export function parsePressure(content: Uint8Array): Stall | null {
  const text = textOf(content);
  const seconds = (kind: string): number | null => {
    const microseconds = whole(new RegExp(`^${kind} [^\\n]{0,80}total=(\\d+)$`, 'm').exec(text)?.[1]);
    return microseconds === null ? null : microseconds / 1_000_000;
  };
  const some = seconds('some');
  return some === null ? null : { some, full: Math.min(seconds('full') ?? 0, some) };
}

/** Puts the files of one reading of a guest together. */
import {
  parseDiskstats,
  parseFaults,
  parseMeminfo,
  parseNetDev,
  parseOomKills,
  parsePressure,
  parseStat,
} from './proc.ts';
import type { GuestCounters } from './types.ts';

const FILES = ['/proc/stat', '/proc/meminfo', '/proc/vmstat', '/proc/diskstats', '/proc/net/dev'];
const PRESSURE = { cpu: '/proc/pressure/cpu', memory: '/proc/pressure/memory', io: '/proc/pressure/io' } as const;
/** Without PSI files, for kernels that have none. The last is what completes a reading. */
export const GUEST_FILES: readonly string[] = FILES;
export const GUEST_FILES_WITH_PSI: readonly string[] = [...Object.values(PRESSURE), ...FILES];

/** What GuestLink.watch gives. */
interface FileSnapshot {
  path: string;
  monotonicNs: bigint;
  content: Uint8Array;
}

const NOTHING = new Uint8Array();

/**
 * Collects snapshots until a reading is complete. Holds at most one of each file, and ignores readings that come faster
 * than they were asked for.
 */
export class GuestReader {
  readonly #paths: ReadonlySet<string>;
  readonly #last: string;
  readonly #leastMs: number;
  #files = new Map<string, Uint8Array>();
  #readMs = -Infinity;

  constructor(paths: readonly string[], intervalMs: number) {
    this.#paths = new Set(paths);
    this.#last = paths.at(-1)!;
    this.#leastMs = intervalMs / 2;
  }

  /** Counters when `snapshot` is the last of a reading. */
  push({ path, monotonicNs, content }: FileSnapshot, nowMs: number): GuestCounters | undefined {
    if (!this.#paths.has(path)) return undefined;
    this.#files.set(path, content);
    if (path !== this.#last) return undefined;
    const files = this.#files;
    this.#files = new Map();
    if (nowMs - this.#readMs < this.#leastMs) return undefined;
    this.#readMs = nowMs;
    const file = (name: string) => files.get(name) ?? NOTHING;
    const { cpus, cpuSeconds, runnable, blocked } = parseStat(file('/proc/stat'));
    const pressure = {
      cpu: parsePressure(file(PRESSURE.cpu)),
      memory: parsePressure(file(PRESSURE.memory)),
      io: parsePressure(file(PRESSURE.io)),
    };
    const has = (name: string) => file(name).length > 0;
    return {
      atMs: nowMs,
      guestMs: Number(monotonicNs / 1000n) / 1000,
      cpus,
      cpuSeconds,
      // The process that reads the file runs as well.
      runnable: runnable === null ? null : Math.max(0, runnable - 1),
      blocked,
      memory: parseMeminfo(file('/proc/meminfo')),
      faults: parseFaults(file('/proc/vmstat')),
      oomKills: parseOomKills(file('/proc/vmstat')),
      disk: has('/proc/diskstats') ? parseDiskstats(file('/proc/diskstats')) : null,
      network: has('/proc/net/dev') ? parseNetDev(file('/proc/net/dev')) : null,
      pressure: Object.values(pressure).some((stall) => stall !== null) ? pressure : null,
    };
  }
}

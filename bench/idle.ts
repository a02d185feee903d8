/**
 * What kernels that do nothing cost the daemon: its CPU, its memory, and how long a list of them takes. POLYKERNEL_BENCH_IDLE says
 * how many there are in turn, `10,100,300`; the first is what lists are held against.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Client } from '../src/client/index.ts';
import { balancing, cpuShare } from './balancing.ts';
import { withDaemon } from './daemon.ts';
import { atMost, type Bench, type Row } from './row.ts';
import { interleaved, timeProcess } from './timing.ts';

const COUNTS = (process.env.POLYKERNEL_BENCH_IDLE ?? '10,100,300').split(',').map(Number);
const AT_ONCE = 4;
const KIB = 1024;
/** Until all are at rest, and have been for so long that they are looked at more seldom. */
const SETTLE_MS = 60_000;
const WATCHED_MS = 30_000;
const LISTS = 9;
const PK = join(import.meta.dirname, '..', 'bin', 'pk');

interface Seen {
  kernels: number;
  /** Of one CPU. */
  cpu: number;
  /** Its own, as against pages of files, which it shares with each other Node.js and the host takes back and reads again as it likes. */
  ownBytes: number;
  fileBytes: number;
  /** Of `pk ps`, in those of `pk version` taken in turn: both wait for this machine alike. */
  list: number;
}

export const idle: Bench = async (progress) => [...(await resting(progress)), ...(await balancing(progress))];

const resting: Bench = (progress) =>
  withDaemon({}, async (home, client) => {
    const { pid } = await client.version();
    const seen: Seen[] = [];
    for (const kernels of [0, ...COUNTS]) {
      await start(client, seen.at(-1)?.kernels ?? 0, kernels, progress);
      progress(`idle: watching the daemon with ${kernels} kernels`);
      await pause(SETTLE_MS);
      const cpu = await cpuShare(pid, WATCHED_MS);
      const status = readFileSync(`/proc/${pid}/status`, 'latin1');
      const bytesOf = (field: string) => Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(status)![1]) * KIB;
      const env = { ...process.env, POLYKERNEL_HOME: home };
      const { ps, version } = await interleaved(LISTS, {
        ps: () => timeProcess([PK, 'ps'], { env }),
        version: () => timeProcess([PK, 'version'], { env }),
      });
      seen.push({ kernels, cpu, ownBytes: bytesOf('RssAnon'), fileBytes: bytesOf('RssFile'), list: ps / version });
      progress(`idle: ${JSON.stringify(seen.at(-1))}`);
    }
    return rowsOf(seen);
  });

function rowsOf([none, first, ...more]: readonly Seen[]): Row[] {
  return more.flatMap(({ kernels, cpu, ownBytes, fileBytes, list }) => [
    atMost((0.08 * kernels) / 300, {
      of: 'value',
      name: `CPU of the daemon with ${kernels} idle UML kernels`,
      value: cpu,
      unit: 'CPUs',
      peer: `with ${first!.kernels}`,
      peerValue: first!.cpu,
      note: `over ${WATCHED_MS / 1000} s, all of the daemon; without kernels ${none!.cpu.toFixed(4)}`,
    }),
    atMost(100, {
      of: 'value',
      name: `memory of the daemon for each of ${kernels} idle UML kernels`,
      value: (ownBytes - none!.ownBytes) / kernels / KIB,
      unit: 'KiB',
      peer: `each of ${first!.kernels}`,
      peerValue: (first!.ownBytes - none!.ownBytes) / first!.kernels / KIB,
      note: `its own (RssAnon), beyond ${mib(none!.ownBytes)} without kernels; of files it holds ${mib(fileBytes)} now, and held ${mib(none!.fileBytes)}; each beyond the first ${first!.kernels} ${Math.round((ownBytes - first!.ownBytes) / (kernels - first!.kernels) / KIB)} KiB`,
    }),
    atMost(1.5, {
      name: `pk ps with ${kernels} kernels`,
      value: list,
      unit: 'x',
      peer: `with ${first!.kernels}`,
      peerValue: first!.list,
      note: `in times of pk version, in turn; medians of ${LISTS} processes`,
    }),
  ]);
}

const mib = (bytes: number) => `${(bytes / KIB / KIB).toFixed(1)} MiB`;

/** Makes kernels `from` to `to`, a few at once. */
async function start(client: Client, from: number, to: number, progress: (text: string) => void): Promise<void> {
  if (to > from) progress(`idle: starting kernels up to ${to}`);
  let next = from;
  const some = async () => {
    while (next < to) {
      const name = `idle${next++}`;
      const memoryBytes = 48 * KIB * KIB;
      await client.create({ name, driver: 'uml', command: ['sleep', '1000000'], memoryBytes, start: false });
      await client.start(name);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, some));
}

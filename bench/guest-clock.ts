/** How fast the clocks of a guest run against those of its host, and how far its time is off. */
import type { Client } from '../src/client/index.ts';
import { type Between, behind, bestReading, clockReader, READ_CLOCKS, tooFast } from '../test/support/guest-clock.ts';
import { withDaemon } from './daemon.ts';
import { atMost, type Row } from './row.ts';

const WATCHED_MS = 30_000;
/** The readings at begin and end are the best of so long. */
const READING_MS = 2_000;
const GUESTS = [
  { name: 'uml', request: { driver: 'uml' } },
  { name: 'qemu, cold', request: { driver: 'qemu', cold: true } },
  { name: 'qemu, a clone', request: { driver: 'qemu', cold: false } },
] as const;

export const clockRows = (progress: (text: string) => void): Promise<Row[]> =>
  withDaemon({}, async (_home, client) => {
    const rows: Row[] = [];
    for (const { name, request } of GUESTS) {
      progress(`clocks of ${name}, over ${WATCHED_MS / 1000} s`);
      rows.push(...(await watch(name, client, request)));
    }
    return rows;
  });

async function watch(
  name: string,
  client: Client,
  request: { driver: 'uml' | 'qemu'; cold?: boolean },
): Promise<Row[]> {
  await client.create({ name: 'clocks', ...request, cwd: '/', command: ['sleep', '100000'], start: false });
  await client.start('clocks');
  const process = await client.exec('clocks', READ_CLOCKS);
  process.stderr.resume();
  const read = clockReader(process);
  const began = await read();
  const first = await bestReading(read, () => performance.now() - began.after.monotonic < READING_MS);
  await new Promise((resolve) => setTimeout(resolve, WATCHED_MS - READING_MS));
  const again = performance.now();
  const last = await bestReading(read, () => performance.now() - again < READING_MS);
  process.stdin.end();
  await process.exited;
  await client.remove('clocks', { force: true });
  const rates = (['monotonic', 'real'] as const).map((clock) => {
    const { value, within } = middle(tooFast(clock, first, last));
    return atMost(1000, {
      name: `${name}: CLOCK_${clock === 'real' ? 'REALTIME' : 'MONOTONIC'} against the host's over 30 s`,
      value: Math.abs(value) * 1e6,
      unit: 'ppm',
      peer: 'goal',
      peerValue: 1000,
      of: 'value',
      note: `${value < 0 ? 'slow' : 'fast'}; known to ${(within * 1e6).toFixed(0)} ppm`,
    });
  });
  const lag = middle(behind(last));
  return [
    ...rates,
    atMost(500, {
      name: `${name}: its time against the host's`,
      value: Math.abs(lag.value),
      unit: 'ms',
      peer: 'goal',
      peerValue: 500,
      of: 'value',
      note: `known to ${lag.within.toFixed(1)} ms`,
    }),
  ];
}

const middle = ({ least, most }: Between) => ({ value: (least + most) / 2, within: (most - least) / 2 });

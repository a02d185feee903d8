/** What it costs the daemon to balance kernels, beyond measuring them as often. */
import { readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import type { Client } from '../src/client/index.ts';
import { withDaemon } from './daemon.ts';
import { atMost, type Bench, median } from './row.ts';

const KERNELS = 20;
const ROUNDS = 5;
const WATCHED_MS = 10_000;
const TICKS_PER_SECOND = 100;

/** Fake kernels: what they are run by costs the same either way. */
export const balancing: Bench = (progress) =>
  withDaemon({ POLYKERNEL_FAKE: '1' }, async (_home, client) => {
    const { pid } = await client.version();
    for (let index = 0; index < KERNELS; index++) await start(client, `k${index}`);
    const shares = { off: [] as number[], on: [] as number[] };
    for (let round = 0; round < ROUNDS; round++)
      for (const mode of ['off', 'on'] as const) {
        progress(`balancing: round ${round + 1} of ${ROUNDS}, ${mode}`);
        await client.setBalance({ mode, policy: 'slo' });
        await pause(1_000);
        shares[mode].push(await cpuShare(pid));
      }
    return [
      atMost(0.01, {
        of: 'value',
        name: `CPU for balancing ${KERNELS} kernels by slo, twice a second`,
        value: median(shares.on.map((on, round) => on - shares.off[round]!)),
        unit: 'CPUs',
        peer: 'measuring alone',
        peerValue: median(shares.off),
        note: `median of ${ROUNDS} rounds of ${WATCHED_MS / 1000} s without and with; fake driver`,
      }),
    ];
  });

async function start(client: Client, name: string): Promise<void> {
  const elastic = { cpus: { min: 1, max: 4 } };
  await client.create({ name, driver: 'fake', command: ['sleep', '100000'], cpus: 2, elastic, start: false });
  await client.start(name);
}

/** Of one CPU. */
export async function cpuShare(pid: number, milliseconds = WATCHED_MS): Promise<number> {
  const ticks = () => {
    const fields = readFileSync(`/proc/${pid}/stat`, 'latin1')
      .replace(/^.*\) /s, '')
      .split(' ');
    return Number(fields[11]) + Number(fields[12]);
  };
  const [before, began] = [ticks(), performance.now()];
  await pause(milliseconds);
  return (ticks() - before) / TICKS_PER_SECOND / ((performance.now() - began) / 1000);
}

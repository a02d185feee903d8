/** What it costs to measure kernels and to show what was measured. */
import { readFileSync } from 'node:fs';
import { draw, initialState, type TopState, update, withStats } from '../src/cli/instance/top-view.ts';
import type { Client } from '../src/client/index.ts';
import { withDaemon } from './daemon.ts';
import { atMost, median, type Row } from './row.ts';

const KERNELS = 20;
const SHOWN = 100;
const ROUNDS = 50;
/** Of the daemon at rest, with and without kernels. */
const WATCHED_MS = 20_000;
const TICKS_PER_SECOND = 100;

export async function telemetry(progress: (text: string) => void): Promise<Row[]> {
  return [
    ...(await withDaemon({}, (_home, client) => sampling(client, progress))),
    ...(await withDaemon({ POLYKERNEL_FAKE: '1' }, (_home, client) => views(client, progress))),
  ];
}

async function sampling(client: Client, progress: (text: string) => void): Promise<Row[]> {
  progress(`${KERNELS} idle UML kernels`);
  const { pid } = await client.version();
  const names = Array.from({ length: KERNELS }, (_, index) => `k${index}`);
  for (const name of names) {
    await client.create({ name, driver: 'uml', command: ['sleep', '100000'], memoryBytes: 64 * 2 ** 20, start: false });
    await client.start(name);
  }
  // What starting them has left to do is over when each has a history.
  await pause(5_000);
  progress(`watching the daemon for ${WATCHED_MS / 1000} s`);
  const share = await cpuShare(pid);
  const measured = (await client.stats()).filter(({ guest, host }) => guest !== null && host !== null).length;
  if (measured !== KERNELS) throw new Error(`only ${measured} of ${KERNELS} kernels were measured`);
  return [
    atMost(0.05, {
      name: `daemon: ${KERNELS} UML kernels sampled twice a second`,
      value: share,
      unit: 'CPUs',
      peer: 'one CPU',
      peerValue: 1,
      note: `all of the daemon, over ${WATCHED_MS / 1000} s; each sample is six files of the guest, and its processes on the host`,
    }),
  ];
}

async function views(client: Client, progress: (text: string) => void): Promise<Row[]> {
  progress(`views of ${SHOWN} kernels`);
  for (let index = 0; index < SHOWN; index++) {
    await client.create({ name: `f${index}`, driver: 'fake', command: ['sleep', '100000'], start: false });
    await client.start(`f${index}`);
  }
  const scrapes: number[] = [];
  const empty: number[] = [];
  const fetches: number[] = [];
  const drawings: number[] = [];
  let state: TopState = initialState();
  let shown: readonly string[] | undefined;
  for (let round = 0; round < ROUNDS; round++) {
    empty.push(await timed(() => client.version()));
    scrapes.push(await timed(() => client.metrics()));
    const stats: Awaited<ReturnType<Client['stats']>> = [];
    fetches.push(await timed(async () => void stats.push(...(await client.stats()))));
    drawings.push(
      await timed(async () => {
        state = withStats(state, stats, `00:00:${round}`);
        const lines = draw(state, { rows: SHOWN + 4, columns: 200 });
        update(shown, lines);
        shown = lines;
      }),
    );
  }
  const peer = { peer: 'GET /v1/version', peerValue: median(empty) };
  return [
    atMost(20, {
      name: `a scrape of /metrics with ${SHOWN} kernels (fake driver)`,
      value: median(scrapes),
      unit: 'ms',
      of: 'value',
      ...peer,
    }),
    atMost(10, {
      name: `pk top: one refresh with ${SHOWN} kernels (fake driver)`,
      value: median(drawings),
      unit: 'ms',
      of: 'value',
      ...peer,
      note: `from numbers to what is written to the terminal; fetching them takes ${median(fetches).toFixed(1)} ms more`,
    }),
  ];
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work();
  return performance.now() - began;
}

/** Of one CPU, over WATCHED_MS. */
async function cpuShare(pid: number): Promise<number> {
  const ticks = () => {
    const fields = readFileSync(`/proc/${pid}/stat`, 'latin1')
      .replace(/^.*\) /s, '')
      .split(' ');
    return Number(fields[11]) + Number(fields[12]);
  };
  const [before, began] = [ticks(), performance.now()];
  await pause(WATCHED_MS);
  return (ticks() - before) / TICKS_PER_SECOND / ((performance.now() - began) / 1000);
}

const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

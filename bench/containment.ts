/**
 * What a fault in one kernel costs its neighbour, by a probe inside the neighbour's kernel; beside it the same programs in one
 * shared kernel, plain and with the victim under cgroup v2 limits.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Client } from '../src/client/index.ts';
import { FAULT_NAMES } from '../src/containment/contract.ts';
import { allowedCpus } from '../src/sys/process.ts';
import { detection } from './containment/detection.ts';
import { HALF, sharedKernel, twoKernels } from './containment/places.ts';
import { recovery } from './containment/recovery.ts';
import { bareWindows, type Place, type Seen, windows } from './containment/windows.ts';
import { withDaemon } from './daemon.ts';
import { atLeast, atMost, type Bench, median, type Row } from './row.ts';

const ROUNDS = 20;
const SHARED_ROUNDS = 4;
/** So many rounds with a fault take a minute. */
const SHARED_MS = 240_000;
/** Quiet against quiet within this: else a row says nothing of the kernels. */
const NOISE = 1.05;

/** What the walls between kernels do not part. */
const SHARED: Partial<Record<string, string>> = {
  'io-hog': '; both write to one disk, and wait for it',
  'net-flood': '; the flood is sent to the neighbour, which has to take it',
};

export const containment: Bench = (progress) =>
  withDaemon({}, async (home, client) => {
    const rows: Row[] = [...(await ofMachine(progress))];
    for (const driver of ['uml', 'qemu'] as const) {
      if (driver === 'qemu') await client.prewarm({ driver, memoryBytes: 128 * 2 ** 20 });
      rows.push(...(await ofKernels(client, await twoKernels(client, home, driver), driver, progress)));
      await client.destroy('containment');
      await client.releasePool().catch(() => {});
      rows.push(...(await detection(client, driver, progress)), ...(await recovery(client, driver, progress)));
    }
    const shared = await sharedKernel(client, home);
    for (const [name, before] of [
      ['one shared kernel', undefined],
      ['one shared kernel, the victim under cgroup v2 limits', HALF],
    ] as const)
      rows.push(...(await ofShared({ ...shared, ...(before && { before }) }, name, progress)));
    return rows;
  });

/** What a CPU that is busy costs the work of another one here, without kernels: no wall between kernels can do better. */
async function ofMachine(progress: (text: string) => void): Promise<Row[]> {
  const cpus = allowedCpus();
  if (cpus.length < 2) return [];
  progress('containment: this machine without kernels');
  const seen = await bareWindows(cpus.at(-1)!, cpus[0]!, ROUNDS);
  const row = atMost(1, {
    ...{
      name: 'no kernels: p99 of a process on a CPU of its own, another one being busy',
      value: median(seen.fault),
      unit: 'ms',
    },
    ...{ peer: 'quiet, in turn', peerValue: median([...seen.first, ...seen.second]), note: quietOf(seen).text },
  });
  return [{ ...row, goal: 'reported', met: true }];
}

async function ofKernels(
  client: Client,
  place: Place,
  driver: string,
  progress: (text: string) => void,
): Promise<Row[]> {
  const rows: Row[] = [];
  const before = (await client.inspect('neighbour')).bootId;
  for (const fault of FAULT_NAMES) {
    progress(`containment: ${driver}, ${fault}`);
    const seen = await windows(place, fault, ROUNDS, true);
    const { ratio, text, isNoise } = quietOf(seen);
    const note = `${text}; ${Math.round(seen.served * 100)} % of its requests were done in time; ${place.where}${SHARED[fault] ?? ''}`;
    const row = atMost(1.15, {
      ...{ name: `${driver}: p99 of a neighbour, ${fault}`, value: median(seen.fault), unit: 'ms' },
      ...{ peer: 'quiet, in turn', peerValue: median([...seen.first, ...seen.second]), note },
    });
    rows.push(isNoise ? { ...row, noise: ratio } : row);
    if (seen.alone > 0) {
      const work = atLeast(0.9, {
        ...{ name: `${driver}: work of the ${fault} beside it`, value: seen.beside, unit: 'a second' },
        ...{ peer: 'alone', peerValue: seen.alone },
      });
      rows.push(isNoise ? { ...work, noise: ratio } : work);
    }
    if (fault === 'panic' && seen.toEvent.length > 0)
      rows.push(
        atMost(50, {
          ...{ name: `${driver}: from a ${fault} to its event at a client`, value: median(seen.toEvent), unit: 'ms' },
          ...{ peer: 'goal', peerValue: 50, of: 'value' },
        }),
      );
  }
  const after = (await client.inspect('neighbour')).bootId;
  if (after !== before) throw new Error(`the neighbour's kernel was ${before} and is ${after}`);
  return rows;
}

async function ofShared(place: Place, name: string, progress: (text: string) => void): Promise<Row[]> {
  const rows: Row[] = [];
  for (const fault of FAULT_NAMES) {
    progress(`containment: ${name}, ${fault}`);
    const take = () => inTime(windows(place, fault, SHARED_ROUNDS, false));
    const seen = await take().catch(async ({ message }: Error) => {
      progress(`containment: ${name}, ${fault}, again: ${message}`);
      await place.client.kill(place.victim, {}).catch(() => {});
      await place.client.wait(place.victim);
      await place.client.start(place.victim);
      return await take();
    });
    const served = `${Math.round(seen.served * 100)} % of its requests were done in time; what was not counts as late as it then was`;
    const row = atMost(1, {
      ...{ name: `${name}: p99 of a neighbour, ${fault}`, value: median(seen.fault), unit: 'ms' },
      ...{ peer: 'quiet, in turn', peerValue: median([...seen.first, ...seen.second]), note: served },
    });
    rows.push({ ...row, goal: 'reported', met: true });
  }
  return rows;
}

/** An emulated kernel of several CPUs hangs now and then by itself (docs/drivers.md), and answers nobody then. */
async function inTime<T>(work: Promise<T>): Promise<T> {
  const deadline = new AbortController();
  const late = pause(SHARED_MS, undefined, { signal: deadline.signal }).then(() => {
    throw new Error(`nothing was seen for ${SHARED_MS / 1000} s`);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    deadline.abort();
    late.catch(() => {});
  }
}

/** How far apart two windows of quiet are, of which the fault is in the middle. */
function quietOf({ first, second }: Pick<Seen, 'first' | 'second'>): { ratio: number; text: string; isNoise: boolean } {
  const ratio = median(second) / median(first);
  return { ratio, text: `quiet against quiet ${ratio.toFixed(2)}`, isNoise: Math.max(ratio, 1 / ratio) > NOISE };
}

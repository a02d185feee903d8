/**
 * The same requests to two services beside a batch job, in real kernels that share one CPU, under four policies in turn: promises
 * that were kept beside the work of the batch job. The stack is examples/spike, its trace examples/spike/trace.csv.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Asker } from '../scripts/spike/asker.ts';
import { PROMISE_MS, SERVICES, SPIKE, spikeStack, WARM_SECONDS } from '../scripts/spike/stack.ts';
import { readTrace } from '../src/balance/contract.ts';
import { random } from '../src/balance/policy/random.ts';
import type { Client } from '../src/client/index.ts';
import { withDaemon } from './daemon.ts';
import { atLeast, atMost, type Bench, type Row } from './row.ts';

const PK = join(import.meta.dirname, '..', 'bin', 'pk');
const BASELINES = ['static', 'threshold', 'autothrottle'] as const;
/** What was asked last may take so long to be answered; later it counts as lost. */
const PATIENCE_MS = 5_000;

interface Seen {
  policy: string;
  lateSeconds: number;
  /** Of shop and of search, in milliseconds. */
  p99s: number[];
  batchSeconds: number;
  moves: number;
}

interface Scene {
  client: Client;
  pk(...words: string[]): void;
  stack: Awaited<ReturnType<typeof spikeStack>>;
}

export const replay: Bench = async (progress) => {
  const stack = await spikeStack();
  return await withDaemon(stack.env, async (home, client) => {
    const env = { ...process.env, POLYKERNEL_HOME: home };
    const pk = (...words: string[]) =>
      void execFileSync(PK, words, { cwd: SPIKE, env, stdio: ['ignore', 'ignore', 'inherit'] });
    const seen: Seen[] = [];
    try {
      for (const policy of [...BASELINES, 'slo']) {
        progress(`replay: ${policy}`);
        seen.push(await under(policy, { client, pk, stack }));
      }
    } finally {
      pk('pool', 'release');
    }
    return rowsOf(seen);
  });
};

/** In kernels that are new, so that nothing is left of the policy before. */
async function under(policy: string, { client, pk, stack }: Scene): Promise<Seen> {
  pk('apply');
  const trace = readTrace(readFileSync(join(SPIKE, 'trace.csv'), 'utf8'));
  const rate = (service: string, second: number) => trace.load[trace.tenants.indexOf(service)]![second]!;
  const isUp = async (name: string) => (await client.service(name)).targets.every(({ state }) => state === 'up');
  while (!(await Promise.all(SERVICES.map(isUp))).every(Boolean)) await delay(200);
  const worked = async () =>
    (await client.stats()).find(({ name }) => name === 'batch')?.host?.vcpus[0]?.ranSeconds ?? 0;
  // The same moments under each policy.
  const askers = SERVICES.map((name, index) => new Asker(stack.ports[name], rate(name, 0), random(index + 1)));
  try {
    await delay(WARM_SECONDS * 1000);
    await client.setBalance({ mode: 'on', policy });
    const [began, before] = [performance.now(), await worked()];
    for (let second = 0; second < trace.seconds; second++) {
      for (const [index, name] of SERVICES.entries()) askers[index]!.rate = rate(name, second);
      await delay(Math.max(0, began + (second + 1) * 1000 - performance.now()));
    }
    const [ended, after] = [performance.now(), await worked()];
    await client.setBalance({ mode: 'off' });
    const { moves } = await client.balance();
    await delay(PATIENCE_MS);
    return {
      policy,
      lateSeconds: askers.reduce((sum, asker) => sum + asker.lateSeconds(began, trace.seconds, PROMISE_MS), 0),
      p99s: askers.map((asker) => asker.p99(began, ended + PATIENCE_MS) ?? Number.NaN),
      batchSeconds: after - before,
      moves: moves.kept,
    };
  } finally {
    for (const asker of askers) asker.close();
    pk('destroy');
  }
}

function rowsOf(seen: readonly Seen[]): Row[] {
  const ours = seen.find(({ policy }) => policy === 'slo')!;
  const best = seen.filter((each) => each !== ours).reduce((a, b) => (b.lateSeconds < a.lateSeconds ? b : a));
  // The count is of the last hour.
  const movesOf = (index: number) => seen[index]!.moves - (seen[index - 1]?.moves ?? 0);
  const note = seen
    .map(
      ({ policy, lateSeconds, p99s, batchSeconds }, index) =>
        `${policy}: ${lateSeconds} s late, p99 ${SERVICES.map((name, at) => `${name} ${p99s[at]!.toFixed(0)} ms`).join(', ')}, ` +
        `batch worked ${batchSeconds.toFixed(1)} CPU-s, ${movesOf(index)} moves`,
    )
    .join('; ');
  const peer = `the best baseline, ${best.policy}`;
  return [
    atMost(0.5, {
      ...{
        name: `seconds with more than 1 % above ${PROMISE_MS} ms under slo, both services`,
        value: ours.lateSeconds,
      },
      ...{ unit: 's', peer, peerValue: best.lateSeconds, note },
    }),
    atMost(1, {
      ...{ name: 'p99 under slo, the slower service', value: Math.max(...ours.p99s), unit: 'ms' },
      ...{ peer: `${best.policy}`, peerValue: Math.max(...best.p99s) },
    }),
    atLeast(1, {
      ...{ name: 'work of the batch job beside it', value: ours.batchSeconds, unit: 'CPU-s' },
      ...{ peer: best.policy, peerValue: best.batchSeconds },
    }),
  ];
}

/**
 * `npm run spike`: two services and a batch job in kernels that share one CPU. One service is asked for more than it can do; balancing
 * gives its kernels more of the CPU, steers its requests to where the CPU is, and takes it back when the rush is over. What happened is
 * what is printed: latencies are the asker's own, from when a request was due. As root, with a state directory of its own.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { connect } from '../src/client/index.ts';
import { Asker } from './spike/asker.ts';
import { KERNELS, PROMISE_MS, SERVICES, SPIKE, spikeStack, WARM_SECONDS } from './spike/stack.ts';
import { argumentsOrHelp } from './usage.ts';

const USAGE = 'usage: npm run spike -- [--quick]';
const isQuick = argumentsOrHelp(USAGE).includes('--quick');
/** Of shop, in requests per second; search is asked for as many all the time as shop is at first. */
const PHASES = [
  { name: 'calm', seconds: isQuick ? 15 : 30, rate: 10 },
  { name: 'rush', seconds: isQuick ? 20 : 40, rate: 80 },
  { name: 'calm', seconds: isQuick ? 30 : 60, rate: 10 },
] as const;
const CALM = PHASES[0].rate;
const SHOWN_MS = 3_000;

const home = mkdtempSync(join(tmpdir(), 'pk-spike-'));
chmodSync(home, 0o700);
const { ports, cpu, env: said } = await spikeStack();
const env = { ...process.env, POLYKERNEL_HOME: home, ...said };
const pk = (...words: string[]): string => {
  console.log(`$ pk ${words.join(' ')}`);
  return execFileSync(join(import.meta.dirname, '../bin/pk'), words, {
    cwd: SPIKE,
    env,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
};

const shown = (value: number | undefined, digits = 0) => (value?.toFixed(digits) ?? '-').padStart(8);

async function spike(): Promise<void> {
  process.stdout.write(pk('apply'));
  const client = await connect({ home });
  const servers = async () =>
    (await Promise.all(SERVICES.map((name) => client.service(name)))).flatMap(({ targets }) => targets);
  while ((await servers()).some(({ state }) => state !== 'up')) await delay(200);
  const askers = { shop: new Asker(ports.shop, CALM), search: new Asker(ports.search, CALM) };
  await delay(WARM_SECONDS * 1000);
  process.stdout.write(pk('balance', 'on'));
  try {
    console.log(
      `\nshop and search promise p99 of ${PROMISE_MS} ms; all kernels share CPU ${cpu}. Shares of it, and weights, each second:\n`,
    );
    console.log(
      `    s  asked  ${['shop p99', 'its p99', ...KERNELS, 'weights'].map((name) => name.padStart(8)).join('  ')}`,
    );
    const began = performance.now();
    const worked = async () =>
      (await client.stats()).find(({ name }) => name === 'batch')?.host?.vcpus[0]?.ranSeconds ?? 0;
    const told: string[] = [];
    for (const { name, seconds, rate } of PHASES) {
      askers.shop.rate = rate;
      const from = performance.now();
      const before = await worked();
      for (let second = 0; second < seconds; second++) {
        await delay(1000);
        const now = performance.now();
        const sizes = new Map((await client.list()).map(({ spec, size }) => [spec.name, size.cpus]));
        const { targets } = await client.service('shop');
        const row = [
          shown(askers.shop.p99(now - SHOWN_MS, now)),
          shown(askers.search.p99(now - SHOWN_MS, now)),
          ...KERNELS.map((kernel) => shown(sizes.get(kernel), 2)),
          targets
            .map(({ weightNow }) => weightNow)
            .join('/')
            .padStart(8),
        ];
        console.log(`${((now - began) / 1000).toFixed(0).padStart(5)}  ${String(rate).padStart(5)}  ${row.join('  ')}`);
      }
      const [now, half] = [performance.now(), from + (performance.now() - from) / 2];
      told.push(
        `${name}: shop p99 ${shown(askers.shop.p99(from, half)).trim()} ms in its first half, ${shown(askers.shop.p99(half, now)).trim()} ms in its second; ` +
          `search ${shown(askers.search.p99(from, now)).trim()} ms; batch worked ${(((await worked()) - before) / ((now - from) / 1000)).toFixed(2)} CPUs`,
      );
    }
    console.log();
    process.stdout.write(pk('balance', 'why', '--since', '10m'));
    console.log();
    process.stdout.write(pk('balance', 'status'));
    console.log(`\n${told.join('\n')}`);
    console.log(
      `${askers.shop.failed + askers.search.failed} of ${askers.shop.asked.length + askers.search.asked.length} requests failed`,
    );
  } finally {
    for (const asker of Object.values(askers)) asker.close();
  }
}

function cleanUp(): void {
  for (const words of [['destroy'], ['pool', 'release'], ['daemon', 'stop']]) {
    try {
      process.stdout.write(pk(...words));
    } catch {
      // The rest has to go all the same.
    }
  }
  rmSync(home, { recursive: true, force: true });
}

for (const name of ['SIGINT', 'SIGTERM'] as const)
  process.once(name, () => {
    cleanUp();
    process.exit(130);
  });
try {
  await spike();
} catch (error) {
  console.error(`The demonstration broke off: ${(error as Error).message}`);
  process.exitCode = 1;
} finally {
  cleanUp();
}
process.exit();

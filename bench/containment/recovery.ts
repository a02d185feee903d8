/** From the panic of a kernel behind a service to the first request that another kernel answers: a frozen one, or a new one. */
import { get } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import type { Client } from '../../src/client/index.ts';
import { freePort } from '../../test/support/http.ts';
import { until } from '../../test/support/pk.ts';
import { atMost, median, type Row } from '../row.ts';
import { healthLost } from './detection.ts';
import { inKernel, startFault } from './program.ts';

const ROUNDS = 5;
const STANDBY_MS = 250;
const RESTART = 1.2;
/** Between two requests, whatever comes of those before. */
const PERIOD_MS = 5;
/** Listens as soon as it runs: what programs do before that is not what is measured. */
const SERVER = ['busybox', 'httpd', '-f', '-p', '80', '-h', '/etc'];
const FILE = '/os-release';

export async function recovery(
  client: Client,
  driver: 'uml' | 'qemu',
  progress: (text: string) => void,
): Promise<Row[]> {
  const [waits, restarts] = [
    await recoveries(client, driver, true, progress),
    await recoveries(client, driver, false, progress),
  ];
  const name = `${driver}: from a panic to the first request that another kernel answers`;
  return [
    atMost(STANDBY_MS, {
      ...{ name: `${name}, with a standby`, value: median(waits.map(({ ms }) => ms)), unit: 'ms', of: 'value' },
      ...{ peer: 'with a restart', peerValue: median(restarts.map(({ ms }) => ms)) },
      note: `median of ${ROUNDS}; worst ${Math.round(Math.max(...waits.map(({ ms }) => ms)))} ms`,
    }),
    atMost(RESTART, {
      ...{ name: `${name}, with a restart`, value: median(restarts.map(({ ms }) => ms)), unit: 'ms' },
      ...{ peer: 'the ready times of these starts', peerValue: median(restarts.map(({ readyMs }) => readyMs)) },
      note: 'a kernel is ready when a command can run in it; its server listens later',
    }),
    atMost(RESTART, {
      ...{ name: `${name}, the same`, value: median(restarts.map(({ ms }) => ms)), unit: 'ms' },
      ...{ peer: 'from `pk start` to its first request', peerValue: median(restarts.map(({ startMs }) => startMs)) },
    }),
  ];
}

interface Recovery {
  ms: number;
  /** Of the kernel that was started anew. */
  readyMs: number;
  /** From a start on request to the first request that is served; 0 with a standby. */
  startMs: number;
}

async function recoveries(
  client: Client,
  driver: 'uml' | 'qemu',
  standby: boolean,
  progress: (text: string) => void,
): Promise<Recovery[]> {
  const port = await freePort();
  const kernel = { driver, memoryBytes: 128 * 2 ** 20, network: 'private', heal: 'lost', standby } as const;
  await client.create({ name: 'serves', command: SERVER, ...kernel, start: false });
  await client.start('serves');
  await client.createService({ name: 'recovers', port, targets: [{ instance: 'serves', port: 80 }] });
  const seen: Recovery[] = [];
  for (let round = 1; round <= ROUNDS; round += 1) {
    progress(`${driver}: panic ${round} of ${ROUNDS}, ${standby ? 'with a standby' : 'with a restart'}`);
    await until('it serves', async () => {
      const { targets } = await client.service('recovers');
      const states = (await client.list()).map(({ spec, state }) => `${spec.name} ${state}`);
      return targets[0]!.isItself && (!standby || states.includes('serves-standby paused'));
    });
    // A good run: its restart is due at once.
    const { startedAt, readyMs, bootId } = await client.inspect('serves');
    await pause(Math.max(0, Date.parse(startedAt!) + readyMs! + 10_500 - Date.now()));
    const panic = await startFault(inKernel(client, 'serves'), 'panic');
    const lost = healthLost(client, 'serves');
    const began = performance.now();
    panic.go();
    await lost;
    const ms = (await firstAnswer(port)) - began;
    await until('it runs anew', async () => {
      const now = await client.inspect('serves');
      return now.state === 'running' && now.bootId !== bootId;
    });
    const { readyMs: anewMs } = await client.inspect('serves');
    await panic.end();
    seen.push({ ms, readyMs: anewMs!, startMs: standby ? 0 : await startOnRequest(client, port) });
  }
  await client.removeService('recovers');
  await client.remove('serves', { force: true });
  return seen;
}

async function startOnRequest(client: Client, port: number): Promise<number> {
  await client.stop('serves');
  const began = performance.now();
  const [at] = await Promise.all([firstAnswer(port), client.start('serves')]);
  return at - began;
}

/** When the first request was answered that was made after the call, by performance.now(). */
async function firstAnswer(port: number): Promise<number> {
  let at: number | undefined;
  for (const deadline = performance.now() + 120_000; at === undefined; await pause(PERIOD_MS)) {
    if (performance.now() > deadline) throw new Error('no other kernel served for two minutes');
    void isAnswered(port).then((isWell) => {
      if (isWell) at ??= performance.now();
    });
  }
  return at;
}

function isAnswered(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const asked = get({ host: '127.0.0.1', port, path: FILE, agent: false, timeout: 10_000 }, (response) => {
      response.resume();
      response.on('close', () => resolve(response.complete && response.statusCode === 200));
    });
    asked.on('error', () => resolve(false));
    asked.on('timeout', () => asked.destroy());
  });
}

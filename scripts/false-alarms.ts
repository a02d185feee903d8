/**
 * `npm run false-alarms -- [--minutes N]`: twice as many busy kernels as this machine has CPUs, half of them of each driver, and lines
 * that are busy besides. None is at fault, so no loss of health may be told of any. Says how often each was starving.
 */
import { chmodSync, mkdtempSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { connect } from '../src/client/index.ts';
import { removeDaemon } from './own-daemon.ts';
import { argumentsOrHelp } from './usage.ts';

const USAGE = 'usage: npm run false-alarms -- [--minutes N]';
const LOOK_MS = 1_000;
const BAD = new Set(['health-lost', 'crashed', 'stuck', 'healed', 'alert-failed']);

const given = argumentsOrHelp(USAGE);
const minutes = given.length === 0 ? 30 : Number(given[1]);
if ((given.length > 0 && given[0] !== '--minutes') || given.length > 2 || !(minutes > 0)) {
  console.error(USAGE);
  process.exit(2);
}

const home = mkdtempSync(join(tmpdir(), 'pk-alarms-'));
chmodSync(home, 0o700);
const client = await connect({ home });
const leave = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => leave.abort());
const names = Array.from({ length: 2 * availableParallelism() }, (_, at) => `${at % 2 === 0 ? 'uml' : 'qemu'}-${at}`);
const alarms: string[] = [];
const starving = new Map(names.map((name) => [name, 0]));
let looks = 0;
const begun: Promise<unknown>[] = [];

try {
  await client.prewarm({ driver: 'qemu', memoryBytes: 128 * 2 ** 20 });
  for (const name of names) {
    const driver = name.split('-')[0]!;
    const command = ['sh', '-c', 'while :; do :; done'];
    await client.create({ name, driver, memoryBytes: 128 * 2 ** 20, command });
  }
  while (!leave.signal.aborted && (await client.list()).some(({ state }) => state !== 'running')) await pause(LOOK_MS);
  console.log(`${names.join(', ')} run, on ${availableParallelism()} CPUs, for ${minutes} minutes`);
  const listening = (async () => {
    for await (const { at, type, name, message } of client.events({}, leave.signal))
      if (BAD.has(type)) alarms.push(`${at} ${name}: ${type}: ${message}`);
  })().catch(() => {});
  begun.push(listening);
  for (const name of names.slice(0, 2)) begun.push(keepBusy(name).catch(() => {}));
  const end = performance.now() + minutes * 60_000;
  while (!leave.signal.aborted && performance.now() < end) {
    await pause(LOOK_MS);
    looks += 1;
    for (const { name, health } of await client.health())
      if (health === 'starving') starving.set(name, starving.get(name)! + 1);
  }
} finally {
  leave.abort();
  for (const name of names) await client.remove(name, { force: true }).catch(() => {});
  await Promise.all(begun);
  await removeDaemon(home);
}
for (const [name, count] of starving) console.log(`${name}: starving at ${count} of ${looks} looks`);
for (const alarm of alarms) console.log(alarm);
console.log(alarms.length === 0 ? 'no false alarm' : `${alarms.length} false alarms`);
process.exit(alarms.length === 0 ? 0 : 1);

/** Output as fast as its line takes it. */
async function keepBusy(name: string): Promise<void> {
  const remote = await client.exec(name, { command: ['cat', '/dev/zero'] });
  leave.signal.addEventListener('abort', () => remote.close());
  remote.stdin.end();
  remote.stdout.resume();
  remote.stderr.resume();
  await remote.exited;
}

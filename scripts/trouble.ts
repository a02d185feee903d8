/**
 * `npm run trouble -- [--minutes N] [--seed N]`: random faults, one after the other, in a stack of six kernels with a service, a
 * shared directory and a channel among them. After each: its neighbours were not harmed, its cause was named, everybody runs as
 * described, nobody owns what another owns, no process is left over, and what was committed to the directory is there.
 */
import { chmodSync, mkdirSync, mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Client, connect } from '../src/client/index.ts';
import { FAULT_NAMES, type FaultName } from '../src/containment/contract.ts';
import { hostProcesses } from '../test/support/host-processes.ts';
import { removeDaemon } from './own-daemon.ts';
import { argumentsOrHelp } from './usage.ts';

const USAGE = 'usage: npm run trouble -- [--minutes N] [--seed N]';
/** It would write to the disks of instances, so it is for clones alone. */
const FAULTS = FAULT_NAMES.filter((name) => name !== 'io-hog');
/** What the daemon must call it; the others are no loss, or may become any. */
const NAMED: Partial<Record<FaultName, RegExp>> = {
  panic: /^told as panic/,
  hang: /^told as (hung|died)/,
  oom: /^told as (unhealthy: its kernel killed|panic)/,
};
const WRITERS = ['uml-0', 'qemu-0'] as const;
const NEIGHBOURS = 3;
const PORT = 18_973;

const options = new Map<string, number>();
const given = argumentsOrHelp(USAGE);
for (let at = 0; at < given.length; at += 2) {
  const [name, value] = [given[at]!, Number(given[at + 1])];
  if (!['--minutes', '--seed'].includes(name) || !(value >= 0)) {
    console.error(USAGE);
    process.exit(2);
  }
  options.set(name, value);
}
const minutes = options.get('--minutes') ?? 30;
let state = options.get('--seed') ?? Date.now() % 2 ** 31;
console.log(`seed ${state}`);

/** A number below `most`; the same again for the same seed. */
function random(most: number): number {
  state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
  return Math.floor((state / 2 ** 31) * most);
}

const home = mkdtempSync(join(tmpdir(), 'pk-trouble-'));
chmodSync(home, 0o700);
const data = join(home, 'data');
mkdirSync(data);
const kernel = (name: string) => {
  const [driver, memory] = name.startsWith('uml') ? ['uml', '64MiB'] : ['qemu', '128MiB'];
  const volumes = (WRITERS as readonly string[]).includes(name) ? `volumes: ['${data}:/data'], ` : '';
  return `  ${name}: {driver: ${driver}, memory: ${memory}, ${volumes}network: private, restart: always, command: *serve}\n`;
};
const names = [0, 1, 2].flatMap((number) => [`uml-${number}`, `qemu-${number}`]);
const source = {
  text: `name: trouble
x-serve: &serve mkdir -p /run/www && hostname > /run/www/index.html && exec busybox httpd -f -p 80 -h /run/www
kernels:\n${names.map(kernel).join('')}services: {api: {port: ${PORT}, targets: ['uml-1:80', 'qemu-1:80'], check: /}}
channels: {words: {from: uml-0, to: uml-2, size: 64KiB}}\n`,
  ...{ file: 'trouble.yaml', directory: home, defaultName: 'trouble' },
};
const committed = new Map<string, number[]>(WRITERS.map((name) => [name, []]));

const client = await connect({ home });
let ended = false;
for (const name of ['SIGINT', 'SIGTERM'] as const)
  process.once(name, () => {
    ended = true;
  });
let failures = 0;
try {
  await client.prewarm({ driver: 'qemu', memoryBytes: 128 * 2 ** 20 });
  await client.apply(source);
  const end = performance.now() + minutes * 60_000;
  for (let round = 1; !ended && performance.now() < end; round++) failures += await trouble(client, round);
} finally {
  await client.destroy('trouble').catch(() => {});
  await removeDaemon(home);
}
console.log(failures === 0 ? 'all as described' : `${failures} failures`);
process.exit(failures === 0 ? 0 : 1);

/** One fault. Returns how much was not as it should be, and prints it. */
async function trouble(client: Client, round: number): Promise<number> {
  const shuffled = names.map((name) => ({ name, key: random(2 ** 30) })).sort((a, b) => a.key - b.key);
  const [victim, ...others] = shuffled.map(({ name }) => name);
  const fault = FAULTS[random(FAULTS.length)]!;
  for (const name of WRITERS) await commit(client, name, round);
  const asked = { victim: victim!, neighbours: others.slice(0, NEIGHBOURS), fault, live: true, windowMs: 500 };
  const { verdict, healed, findings } = await client.proveContainment(asked);
  const wrong: string[] = [];
  const expect = (isSo: boolean, text: string) => void (isSo || wrong.push(text));
  expect(verdict === 'contained' && healed, findings.map(({ name, reason }) => `${name}: ${reason}`).join('; '));
  const told = findings.find(({ about, name }) => about === 'health' && name === victim)?.reason ?? '';
  expect(NAMED[fault]?.test(told) ?? true, `it was ${told}`);
  const all = await client.list();
  expect(all.every(({ state }) => state === 'running') && all.length === names.length, 'not all run');
  const { steps } = await client.plan(source);
  expect(steps.length === 0, `to be as described it would need: ${steps.map(({ text }) => text).join(', ')}`);
  const kernels = all.map(({ pid }) => pid);
  expect(new Set(kernels).size === names.length, 'two have one process');
  const ids = all.map(({ id }) => id);
  for (const pid of await hostProcesses(join(home, 'instances'))) {
    const line = commandLine(pid);
    expect(line === '' || ids.some((id) => line.includes(id.slice(0, 12))), `process ${pid} belongs to nobody`);
  }
  for (const [name, rounds] of committed) {
    const there = new Set(readFileSync(join(data, name), 'utf8').split('\n').map(Number));
    for (const each of rounds) expect(there.has(each), `${name} lost what it committed in round ${each}`);
  }
  console.log(`${round}: ${fault} in ${victim}: ${wrong.length === 0 ? 'contained' : wrong.join('\n  ')}`);
  return wrong.length;
}

/** Counts only once the guest has said that it is on the disk. */
async function commit(client: Client, name: string, round: number): Promise<void> {
  const command = ['sh', '-c', `echo ${round} >> /data/${name} && sync /data/${name}`];
  const remote = await client.exec(name, { command });
  remote.stdin.end();
  remote.stdout.resume();
  remote.stderr.resume();
  if ((await remote.exited).exitCode === 0) committed.get(name)!.push(round);
}

function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return ''; // It has ended meanwhile.
  }
}

/**
 * KILLS SEED, within the host of `npm run test:moves`: three UML kernels own a CPU each of a pool of five. Each round they get other
 * CPUs, by apply, or memory passes from one to another, by move, and at a random moment of it the daemon, a VMM or a guest is killed.
 */
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { ownArguments } from '../../src/sys/node.ts';
import { generator } from '../../test/support/generator.ts';
import { checkAgreement, MIB, memoryKib, NAMES, STARTS_WITH_MIB } from './agreement.ts';
import { HostDaemon } from './daemon.ts';

const POOL_CPUS = [1, 2, 3, 4, 5];
const STEP_MIB = 4;
const SETTLED_MS = 300_000;

const [kills, seed] = ownArguments().map(Number) as [number, number];
const random = generator(seed);
const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!;
const say = (text: string) => console.log(`${process.uptime().toFixed(0).padStart(6)} s  ${text}`);

const stack = (cpus: readonly number[]) => ({
  text: `
pool: {cpus: 1-5, memory: 320MiB}
kernels:${NAMES.map(
    (name, index) => `
  ${name}:
    {driver: uml, command: [sleep, inf], restart: always, readyTimeout: ${SETTLED_MS / 1000}s, partition: {cpus: "${cpus[index]}", memory: ${STARTS_WITH_MIB}MiB},
     elastic: {memory: {min: ${STARTS_WITH_MIB - 16}MiB, max: ${STARTS_WITH_MIB + 16}MiB}}}`,
  ).join('')}
`,
  file: 'moves.yaml',
  directory: '/',
  defaultName: 'moves',
});
const shuffled = (): number[] => {
  const left = [...POOL_CPUS];
  return NAMES.map(() => left.splice(Math.floor(random() * left.length), 1)[0]!);
};

say(`seed ${seed}`);
mkdirSync('/run/pk-moves', { mode: 0o700 });
const daemon = await HostDaemon.start('/run/pk-moves');
const { client } = daemon;
say('the daemon serves');
let cpus = [1, 2, 3];
await client.apply(stack(cpus));
await settled();
say('three kernels run');
/** What a kernel says it has is so much less than what it was given. */
const hidden = new Map<string, number>();
for (const name of NAMES) hidden.set(name, STARTS_WITH_MIB * 1024 - (await memoryKib(client, name)));
const counts = { daemon: 0, vmm: 0, guest: 0 };
for (let kill = 0; kill <= kills; kill++) {
  const before = await checkAgreement(client, hidden);
  const move = random() < 0.6 ? otherCpus() : memoryPasses(before.mib);
  const from = performance.now();
  const moving = move.work().then(
    () => 'done',
    (error: Error) => `failed: ${error.message}`,
  );
  // The first goes through, and tells how long one takes.
  const victim = kill === 0 ? undefined : pick(['daemon', 'vmm', 'guest'] as const);
  if (victim !== undefined) {
    await Promise.race([moving, delay(random() * move.usualMs)]);
    await killOne(victim);
    counts[victim] += 1;
  }
  const outcome = await moving;
  if (victim === undefined) say(`a move takes ${(performance.now() - from).toFixed(0)} ms`);
  await daemon.serving();
  await settled();
  const after = await checkAgreement(client, hidden);
  assert.equal(
    NAMES.reduce((sum, name) => sum + after.mib[name]!, 0),
    NAMES.length * STARTS_WITH_MIB,
    'what one gave another has',
  );
  say(
    `${kill}/${kills} ${move.text}; ${victim ?? 'nobody'} killed; ${outcome}; now ${NAMES.map((name) => `${name} CPU ${after.cpus[name]}, ${after.mib[name]} MiB`).join('; ')}`,
  );
}
say(`${kills} kills (${JSON.stringify(counts)}): every CPU and byte has one owner, and kernels run as the ledger says`);
await daemon.end();
process.exit(0);

function otherCpus() {
  cpus = shuffled();
  const wanted = stack(cpus);
  return { text: `apply CPUs ${cpus.join()}`, usualMs: 3_000, work: () => client.apply(wanted) };
}

function memoryPasses(mib: Readonly<Record<string, number>>) {
  const from = pick(NAMES.filter((name) => mib[name]! >= STARTS_WITH_MIB - 16 + STEP_MIB));
  const to = pick(NAMES.filter((name) => name !== from && mib[name]! <= STARTS_WITH_MIB + 16 - STEP_MIB));
  const request = { resource: 'memory', from, to, amount: STEP_MIB * MIB } as const;
  return { text: `move ${STEP_MIB} MiB from ${from} to ${to}`, usualMs: 3_000, work: () => client.move(request) };
}

/** Resolves once it is dead and the daemon knows. */
async function killOne(victim: keyof typeof counts): Promise<void> {
  if (victim === 'daemon') return daemon.kill();
  const name = pick(NAMES);
  const { pid } = await client.inspect(name).catch(() => ({ pid: null }));
  // It is down already.
  if (pid === null) return;
  if (victim === 'vmm') killProcess(pid);
  else {
    const crash = await client
      .exec(name, { command: ['sh', '-c', 'echo c > /proc/sysrq-trigger'] })
      .catch(() => undefined);
    await crash?.exited.catch(() => {});
  }
  for (const from = performance.now(); (await client.inspect(name)).pid === pid; await delay(100))
    if (performance.now() - from > SETTLED_MS)
      throw new Error(`the daemon does not see that ${name}'s ${victim} is gone`);
}

function killProcess(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It ended by itself just now.
  }
}

/** All is well again: who was killed is back, and what was cut off is taken up. Rejects after five minutes. */
async function settled(): Promise<void> {
  for (const from = performance.now(); ; await delay(500)) {
    const all = await client.list();
    if (NAMES.every((name) => all.some(({ spec, state }) => spec.name === name && state === 'running'))) break;
    if (performance.now() - from > SETTLED_MS)
      throw new Error(`they do not all run again: ${all.map(({ spec, state }) => `${spec.name} ${state}`).join(', ')}`);
  }
  // A plan waits for what is under way.
  await client.move({ resource: 'memory', from: 'pool', to: NAMES[0], amount: MIB, dryRun: true }).catch(() => {});
}

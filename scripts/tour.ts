/**
 * `npm start`: several real kernels side by side, a program in each, a crash that stays in its kernel and is healed, a daemon that
 * dies while kernels go on, and a summary. Everything happens in a state directory of its own and is removed afterwards.
 */
import { chmodSync, mkdtempSync } from 'node:fs';
import { release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { age, table } from '../src/cli/kit/table.ts';
import { drawMap } from '../src/cli/machine/draw.ts';
import { type Client, connect } from '../src/client/index.ts';
import type { InstanceStatus } from '../src/instance/spec.ts';
import { allowedCpus } from '../src/sys/process.ts';
import { formatBytes } from '../src/sys/units.ts';
import { thenCleanUp } from './clean-up.ts';
import { removeDaemon } from './own-daemon.ts';

/** Two of three kernels talk: red, and whichever of these runs on another CPU. */
const TALKS_TO = ['green', 'blue'] as const;
const ROUND_TRIPS = 20_000;

const home = mkdtempSync(join(tmpdir(), 'pk-tour-'));
chmodSync(home, 0o700);
const began = Date.now();
const seconds = () => ((Date.now() - began) / 1000).toFixed(1).padStart(5);
const say = (text: string) => console.log(`${seconds()}s  ${text}`);
const results: [boolean, string][] = [];

const work = async () => tour(await connect({ home }));
await thenCleanUp(
  () => work().catch((error) => results.push([false, `the tour broke off: ${(error as Error).message}`])),
  () => removeDaemon(home),
);
summary();
process.exit(results.every(([met]) => met) ? 0 : 1);

async function tour(client: Client): Promise<void> {
  console.log(`\nThis machine runs Linux ${release()}. Polykernel now starts more kernels beside it.\n`);
  const { drivers } = await client.doctor();
  for (const { name, availability } of drivers) say(`driver ${name}: ${availability.reason}`);
  const usable = drivers
    .filter(({ name, availability }) => name !== 'fake' && availability.available)
    .map(({ name }) => name);
  if (usable.length === 0) throw new Error('no driver can run a kernel here; `./bin/pk doctor` says what is missing');

  const wanted = [
    { name: 'red', driver: 'uml' as const },
    { name: 'green', driver: 'uml' as const },
    { name: 'blue', driver: 'uml' as const },
    { name: 'violet', driver: 'qemu' as const },
  ].filter(({ driver }) => usable.includes(driver));
  if (usable.includes('qemu')) {
    say('building the QEMU template (once per machine; later starts clone it)');
    await client.prewarm({ driver: 'qemu' }, (text) => say(`  ${text}`));
  }
  const talks = usable.includes('uml');
  for (const other of talks ? TALKS_TO : []) {
    await client.createChannel({ name: `red-${other}`, from: 'red', to: other, sizeBytes: 65_536 });
    await client.createChannel({ name: `${other}-red`, from: other, to: 'red', sizeBytes: 65_536 });
  }
  say(`starting ${wanted.length} kernels at once`);
  const started = await Promise.all(
    wanted.map(async ({ name, driver }) => {
      await client.create({ name, driver, command: ['sleep', '1000000'], start: false });
      const status = await client.start(name);
      say(`  ${name} (${driver}) was ready ${status.readyMs} ms after its start`);
      return status;
    }),
  );

  console.log('\nWho owns what:\n');
  console.log(ownership(await client.list()));
  const boots = new Set(started.map(({ bootId }) => bootId));
  results.push([
    boots.size === started.length,
    `${started.length} real kernels ran side by side, each with a boot id of its own`,
  ]);

  console.log('A program in each:\n');
  const greet = 'echo "$(uname -n): Linux $(uname -r), $(nproc) CPU, up $(cut -d" " -f1 /proc/uptime) s"';
  const greetings = await Promise.all(started.map(({ spec }) => inside(client, spec.name, ['sh', '-c', greet])));
  for (const [index, { spec }] of started.entries()) {
    const { text } = greetings[index]!;
    console.log(`    ${text.trim()}`);
    results.push([text.startsWith(spec.name), `${spec.name} ran a program and knew its own name`]);
  }
  console.log('');

  if (talks) await talk(client);

  const [victim, ...others] = started.map(({ spec }) => spec.name);
  if (others.length > 0) await crash(client, victim!, others);

  const { pid } = await client.version();
  say(`killing the daemon (pid ${pid}) with SIGKILL, and starting another`);
  process.kill(pid, 'SIGKILL');
  // Until it is gone, its socket still takes connections that nobody will answer.
  while (isAlive(pid)) await new Promise((resolve) => setTimeout(resolve, 5));
  const next = await connect({ home });
  const found = (await next.list()).filter(({ state }) => state === 'running');
  results.push([found.length === started.length, `a new daemon found all ${started.length} running kernels again`]);
  await divide(next);
}

/** A panic in one kernel, what becomes of the others, and a new kernel in its place. */
async function crash(client: Client, victim: string, others: string[]): Promise<void> {
  say(`crashing the kernel of ${victim} while the others serve 100 requests a second each`);
  const asked = { victim, neighbours: others, fault: 'panic', live: true, windowMs: 150 } as const;
  const { verdict, healed, findings } = await client.proveContainment(asked);
  const shown = ['fault', 'errors', 'healing'];
  for (const { name, about, reason } of findings) if (shown.includes(about)) say(`  ${name}: ${reason}`);
  const named = findings.some(({ about, reason }) => about === 'health' && reason.startsWith('told as panic'));
  results.push([named, `the panic of ${victim} was seen and named`]);
  const went = `the other ${others.length} went on with the same boot ids and no request failed: the crash stayed in its kernel`;
  results.push([verdict === 'contained', went]);
  results.push([healed, `${victim} was healed: it runs again, in a new kernel`]);
}

/** Questions and answers through memory that two kernels share. */
async function talk(client: Client): Promise<void> {
  const cpuOf = async (name: string) => (await client.inspect(name)).real?.vcpus[0]?.join();
  const [red, green] = [await cpuOf('red'), await cpuOf('green')];
  const other = red === green ? 'blue' : 'green';
  const [there, answers] = [`red-${other}`, `${other}-red`];
  say(`red and ${other} exchange ${ROUND_TRIPS} messages through shared memory`);
  const answering = inside(client, other, ['pk-ring', 'echo', there, answers, String(ROUND_TRIPS + 1000)]);
  while ((await client.channel(answers)).from.state !== 'open') await new Promise((resolve) => setTimeout(resolve, 10));
  const { text, code } = await inside(client, 'red', ['pk-ring', 'ping', there, answers, String(ROUND_TRIPS)]);
  await answering;
  const nanoseconds = Math.round(Number(text));
  say(`  a message of 64 bytes and its answer took ${nanoseconds} ns`);
  results.push([
    code === 0 && nanoseconds > 0,
    `two kernels talked through a channel: ${nanoseconds} ns there and back`,
  ]);
}

/** Two kernels that own half of one CPU each, planned and placed by a stack file. */
async function divide(client: Client): Promise<void> {
  const cpus = allowedCpus();
  if (cpus.length < 2) return;
  const cpu = cpus.at(-1)!;
  const kernel = '{driver: uml, command: [sleep, infinity], partition: {cpus: {shared: 0.4}, memory: 64MiB}}';
  const text = `pool: {cpus: ${cpu}, shared: ${cpu}, memory: 256MiB}\nkernels: {left: ${kernel}, right: ${kernel}}\n`;
  const source = { text, file: 'tour.yaml', directory: home, defaultName: 'tour' };
  console.log(
    `\nDividing the machine: CPU ${cpu} is given up, two kernels own parts of it, the host keeps the rest.\n`,
  );
  const { steps } = await client.apply(source);
  for (const step of steps) say(step.text);
  const { topology, ledger } = await client.machine();
  console.log(`\n${drawMap(topology, ledger, { color: process.stdout.isTTY === true, width: 80 })}`);
  const placed = await Promise.all(['left', 'right'].map((name) => client.inspect(name)));
  const there = placed.every(({ real }) => real?.vcpus[0]?.join() === String(cpu));
  results.push([there, `the host kernel says that left and right run on CPU ${cpu}, and nowhere else`]);
  const again = await client.apply(source);
  results.push([again.steps.length === 0, 'applied again, the plan had nothing to do']);
  await client.destroy('tour');
  await client.releasePool();
  const { pool } = (await client.machine()).ledger;
  results.push([pool === null, `CPU ${cpu} went back to the host`]);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

function ownership(all: readonly InstanceStatus[]): string {
  const rows = all.map((status) => [
    status.spec.name,
    status.spec.driver,
    status.kernelRelease ?? '-',
    String(status.spec.cpus),
    formatBytes(status.spec.memoryBytes),
    String(status.pid ?? '-'),
    status.bootId?.slice(0, 8) ?? '-',
    age(status.startedAt),
  ]);
  return table(['INSTANCE', 'DRIVER', 'KERNEL', 'CPUS', 'MEMORY', 'PID', 'BOOT ID', 'AGE'], rows, [
    'CPUS',
    'MEMORY',
    'PID',
  ]);
}

async function inside(client: Client, name: string, command: string[]): Promise<{ text: string; code: number }> {
  const remote = await client.exec(name, { command });
  remote.stdin.end();
  remote.stderr.resume();
  let text = '';
  remote.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  const { exitCode } = await remote.exited;
  return { text, code: exitCode };
}

function summary(): void {
  console.log('\nSummary\n');
  for (const [met, text] of results) console.log(`  ${met ? '✓' : '✗'} ${text}`);
  console.log(`
Everything started here has been removed again. Now you:

  ./bin/pk run -- uname -a                      any command in a kernel of its own
  ./bin/pk run --driver qemu --cpus 2 -- nproc  in a virtual machine
  ./bin/pk run -d --name web -- sleep 1000      leave one running, then: ./bin/pk ps
  cd examples/three-kernels && ../../bin/pk plan
  cd examples/service && ../../bin/pk apply     three replicas behind one port
  ./bin/pk --help
`);
}

/**
 * What commands that go on for long do when their daemon is upgraded, is killed, or is stopped: they go on, or say so and end. What a
 * daemon does whose state goes.
 */
import { existsSync, globSync, readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { type Client, connect } from '../../src/client/index.ts';
import { eventually } from '../support/harness.ts';
import { Sandbox, until } from '../support/pk.ts';

let sandbox: Sandbox;
let client: Client;

beforeAll(async () => {
  sandbox = await Sandbox.create({ POLYKERNEL_FAKE: '1', POLYKERNEL_SAMPLES_PER_SECOND: '5' });
  await sandbox.ok('daemon', 'start');
  client = await connect({ home: sandbox.home, start: false });
  await client.create({ name: 'web', driver: 'fake', command: ['sleep', 'inf'] });
  await eventually(async () => (await client.inspect('web')).state === 'running');
});
afterAll(async () => sandbox[Symbol.asyncDispose]());

/** A command that runs: what it has said, and its end. */
function follow(...args: string[]) {
  const child = sandbox.start(...args);
  const said = { out: '', err: '', code: undefined as number | null | undefined };
  child.stdout!.on('data', (chunk) => {
    said.out += chunk;
  });
  child.stderr!.on('data', (chunk) => {
    said.err += chunk;
  });
  child.on('close', (code) => {
    said.code = code;
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  return { child, said };
}

/** As `pk run` has it. */
async function foreground(options: { waits?: (text: string) => void; revive?: () => Promise<unknown> } = {}) {
  const { spec } = await client.create({ driver: 'fake', command: ['sleep', 'inf'], attached: true });
  const run = await client.attach(spec.name, options);
  await run.started;
  return run;
}

const upgrade = () => sandbox.ok('daemon', 'upgrade');
async function kill(): Promise<void> {
  process.kill(Number(readFileSync(join(sandbox.home, 'daemon.lock'), 'utf8')), 'SIGKILL');
  await sandbox.ok('daemon', 'start');
}
const stopAndStart = async () => {
  await sandbox.ok('daemon', 'stop');
  await sandbox.ok('daemon', 'start');
};
const created = (name: string) => new RegExp(`created .*${name}`, 'g');
const lines = (text: string) => text.split('\n').length - 1;
const create = (name: string) => client.create({ name, driver: 'fake', command: ['true'], autoRemove: true });

it.each([
  ['an upgrade', upgrade],
  ['a kill', kill],
  ['a stop and a start', stopAndStart],
] as const)(
  'they go on after %s',
  async (what, end) => {
    // The daemon that comes after an upgrade still tells of those that the test before made.
    const [before, after] = ['before', 'after'].map((name) => `${name}-${what.split(' ')[1]}`) as [string, string];
    const events = follow('events', '--since', '0');
    const stats = follow('stats', '--watch', '--json', 'web');
    const log = follow('logs', '-f', 'web');
    const wait = follow('wait', 'web');
    const console = follow('console', 'web');
    const exec = await client.exec('web', { command: ['sleep', 'inf'] });
    await exec.started;
    const run = await foreground();
    const all = { events, stats, log, wait, console };
    await create(before);
    await eventually(() => created(before).test(events.said.out) && lines(stats.said.out) > 0);
    console.child.stdin!.write('typed');
    await eventually(() => console.said.out === 'typed');
    await end();
    await create(after);
    await eventually(() => created(after).test(events.said.out));
    for (const name of [before, after]) expect(events.said.out.match(created(name))).toHaveLength(1);
    const looks = lines(stats.said.out);
    await eventually(() => lines(stats.said.out) > looks + 1);
    await eventually(() => console.said.err.includes('what the kernel said meanwhile is in pk logs --console web'));
    for (const each of [exec, run]) {
      each.signal(15);
      expect(await each.exited).toMatchObject({ exitCode: 143 });
    }
    const open = Object.entries(all).filter(([, { said }]) => said.code === undefined);
    expect(open.map(([name]) => name)).toEqual(['events', 'stats', 'log', 'wait', 'console']);
    for (const { said } of Object.values(all)) expect(said.err).not.toMatch(/lost|\n {4}at /);
  },
  120_000,
);

it('what runs a command starts a daemon where the last one was killed and nobody else does', async () => {
  const lock = join(sandbox.home, 'daemon.lock');
  const before = Number(readFileSync(lock, 'utf8'));
  let started = 0;
  const revive = () => {
    started++;
    return sandbox.ok('daemon', 'start');
  };
  const run = await foreground({ revive });
  process.kill(before, 'SIGKILL');
  // Nothing here asks for anything meanwhile.
  await eventually(() => Number(readFileSync(lock, 'utf8')) !== before, 30_000);
  run.signal(15);
  expect(await run.exited).toMatchObject({ exitCode: 143 });
  expect(started).toBe(1);
});

it('they say at once that it was stopped, and end with an error when none comes', async () => {
  const commands = {
    events: ['events'],
    stats: ['stats', '--watch', 'web'],
    log: ['logs', '-f', 'web'],
    wait: ['wait', 'web'],
    console: ['console', 'web'],
    exec: ['exec', '-i', 'web', 'cat'],
  };
  const all = Object.entries(commands).map(([name, args]) => ({ name, ...follow(...args) }));
  let told = '';
  const run = await foreground({
    waits: (text) => {
      told += text;
    },
  });
  // Those that say nothing by themselves are connected by then.
  const of = (name: string) => all.find((each) => each.name === name)!;
  const typed = ['console', 'exec'].map(of);
  for (const { child } of typed) child.stdin!.write('typed');
  await eventually(() => typed.every(({ said }) => said.out === 'typed') && lines(of('stats').said.out) > 2);
  await sandbox.ok('daemon', 'stop');
  await expect(run.exited).rejects.toMatchObject({
    code: 'unavailable',
    message: expect.stringMatching(/^the daemon was stopped/),
  });
  expect(told).toMatch(/^the daemon was stopped: waiting 5 s/);
  await eventually(() => all.every(({ said }) => said.code !== undefined), 30_000);
  for (const { name, said } of all) {
    const waits = 'pk: the daemon was stopped: waiting 5 s for another one (pk daemon start)\n';
    const ends = /^pk: the daemon was stopped, and no other came within 5 s\n.*pk daemon start.*\n$/;
    const rest = said.err.replace(waits, '');
    expect([name, said.err.includes(waits), ends.test(rest) || rest, said.code]).toEqual([name, true, true, 125]);
  }
}, 120_000);

it('a daemon whose state directory is removed ends, with all that runs of it: nobody could reach it any more', async () => {
  await using other = await Sandbox.create();
  await other.ok('run', '-d', '--name', 'web', '--driver', 'uml', '--restart', 'always', '--', 'sleep', 'inf');
  await other.ok('channel', 'create', 'orders', '--from', 'host', '--to', 'web', '--size', '64K');
  const { pid } = await other.json<{ pid: number }>('daemon', 'status');
  const { id } = await other.json<{ id: string }>('inspect', 'web');
  const groups = () => globSync(`/sys/fs/cgroup/**/polykernel-${id}`);
  expect(groups().length > 0).toBe(process.getuid?.() === 0);
  expect((await other.processes()).length).toBeGreaterThan(3);
  await rm(other.home, { recursive: true });
  await until('the daemon ends', () => !existsSync(`/proc/${pid}`));
  expect(await other.processes()).toEqual([]);
  expect(groups()).toEqual([]);
  // Nothing was made there again.
  expect(existsSync(other.home)).toBe(false);
});

/** A daemon takes over from another one, as processes: what is known goes on, and what cannot go on is left as it was. */
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Client, connect } from '../../src/client/index.ts';
import { copyCheckout } from '../support/checkout.ts';
import { eventually } from '../support/harness.ts';
import { Sandbox } from '../support/pk.ts';

let directory: string;
let next: string;
let sandbox: Sandbox;
let client: Client;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'pk-upgrade-'));
  next = await copyCheckout(join(directory, 'next'));
  sandbox = await Sandbox.create({ POLYKERNEL_FAKE: '1', POLYKERNEL_SAMPLES_PER_SECOND: '1' });
  await sandbox.ok('daemon', 'start');
  client = await connect({ home: sandbox.home, start: false });
  await client.create({ name: 'web', command: ['sleep'], driver: 'fake' });
  await eventually(async () => (await client.inspect('web')).state === 'running');
});
afterAll(async () => {
  await client.remove('web', { force: true });
  await sandbox[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true });
});

const pid = async () => (await client.version()).pid;
const entry = async () =>
  readFileSync(`/proc/${await pid()}/cmdline`, 'utf8')
    .split('\0')
    .find((text) => text.endsWith('/main.ts'));
const link = (to: string, path: string) => {
  mkdirSync(dirname(path), { recursive: true });
  symlinkSync(to, path);
};
/** Returns what changes it back. */
const change = (file: string, from: string, to: string) => {
  const path = join(next, file);
  const text = readFileSync(path, 'utf8');
  expect(text).toContain(from);
  writeFileSync(path, text.replace(from, to));
  return () => writeFileSync(path, text);
};

it('takes over from a daemon of another checkout, with its instances and settings', async () => {
  const before = [await pid(), await client.inspect('web')] as const;
  const environment = readFileSync(`/proc/${before[0]}/environ`, 'utf8');
  // As from another shell.
  const { POLYKERNEL_SAMPLES_PER_SECOND: _, ...env } = sandbox.env;
  const done = await new Sandbox(sandbox.home, env).json('daemon', 'upgrade', '--from', next);
  expect(done).toMatchObject({ from: { pid: before[0] }, to: { pid: await pid() } });
  expect(await pid()).not.toBe(before[0]);
  expect(await entry()).toBe(join(next, 'src/daemon/main.ts'));
  expect(
    readFileSync(`/proc/${await pid()}/environ`, 'utf8')
      .split('\0')
      .sort(),
  ).toEqual(environment.split('\0').sort());
  const { state, bootId, startedAt } = before[1];
  expect(await client.inspect('web')).toMatchObject({ state, bootId, startedAt });
  expect(readdirSync(sandbox.home).filter((name) => name.includes('upgrade'))).toEqual([]);
  expect(existsSync(join(sandbox.home, 'daemon.lock'))).toBe(true);
});

it.each([
  ['is no checkout', () => directory, /no checkout/, 2],
  ['cannot take over', () => without('src/daemon'), /cannot take over from a daemon that runs/, 125],
  ['is not set up', () => without('node_modules'), /not set up in this checkout/, 125],
] as const)('is refused from a directory that %s', async (_, from, words, code) => {
  const before = await pid();
  const ran = await sandbox.pk(['daemon', 'upgrade', '--from', from()]);
  expect(ran.stderr).toMatch(words);
  expect(ran.code).toBe(code);
  expect(await pid()).toBe(before);
});

// A namespace of process numbers, in which the daemon's means another process or none, only root can make without one of users.
it.skipIf(process.getuid?.() !== 0)('is refused where the number that the daemon says is not its own', async () => {
  const before = await pid();
  const elsewhere = new Sandbox(sandbox.home, sandbox.env, ['unshare', '--pid', '--fork', '--mount-proc']);
  const ran = await elsewhere.pk(['daemon', 'upgrade']);
  expect(ran.stderr).toContain(`process ${before} is not the daemon that serves ${sandbox.home}`);
  expect(ran.code).toBe(125);
  expect(await pid()).toBe(before);
});

/** A checkout that lacks a part. */
function without(part: string): string {
  const partial = mkdtempSync(join(directory, 'without-'));
  cpSync(join(next, 'bin'), join(partial, 'bin'), { recursive: true });
  for (const name of ['src/daemon', 'src/cli', 'scripts', 'package.json', 'node_modules'])
    if (name !== part) link(join(next, name), join(partial, name));
  return partial;
}

it('is refused by a version that does not know the state, and that one which runs goes on', async () => {
  const before = await pid();
  const restore = change('src/core/store.ts', 'const FORMAT = 4', 'const FORMAT = 3');
  try {
    const ran = await sandbox.pk(['daemon', 'upgrade', '--from', next]);
    expect(ran.stderr).toMatch(
      `${sandbox.home}/state.db was written by a newer Polykernel (format 4, this one knows 3)`,
    );
    expect(await pid()).toBe(before);
  } finally {
    restore();
  }
});

it('returns to the version that ran when the new one does not come to serve, although that wrote what only it can read', async () => {
  await sandbox.ok('daemon', 'upgrade');
  const before = [await pid(), await entry()] as const;
  const restore = change('src/daemon/daemon.ts', '    await api.ready();', '    throw new Error("broken");');
  const newer = change('src/core/store.ts', 'const FORMAT = 4', 'const FORMAT = 5');
  try {
    const ran = await sandbox.pk(['daemon', 'upgrade', '--from', next]);
    expect(ran.stderr).toMatch(/did not come to serve: .*broken; the old version serves again/);
    expect(ran.code).toBe(125);
  } finally {
    newer();
    restore();
  }
  expect(await pid()).not.toBe(before[0]);
  expect(await entry()).toBe(before[1]);
  expect((await client.inspect('web')).state).toBe('running');
});

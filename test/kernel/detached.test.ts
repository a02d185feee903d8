/** Where commands begin to work, and what a start that fails leaves, on real kernels: run from a directory that only root may enter. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Sandbox, until } from '../support/pk.ts';

interface Status {
  state: string;
  exit: { reason: string; exitCode: number; message: string } | null;
  restarts: number;
  workingDirectory: string | null;
}

/** Nothing of an ordinary user's is closed to his own kernels. */
const isRoot = process.getuid?.() === 0;

let sandbox: Sandbox;
/** 0700, as root's home is, and what lies in it. */
let closed: string;
let inner: string;
let there: Sandbox;

beforeAll(async () => {
  sandbox = await Sandbox.create();
  closed = mkdtempSync(join(tmpdir(), 'pk-closed-'));
  inner = join(closed, 'checkout');
  mkdirSync(inner);
  there = new Sandbox(sandbox.home, sandbox.env, ['sh', '-c', 'cd "$0" && exec "$@"', inner]);
});
afterAll(async () => {
  await sandbox[Symbol.asyncDispose]();
  rmSync(closed, { recursive: true });
});

const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });

describe.each(['uml', 'qemu'])('on %s', (driver) => {
  const detached = (name: string) => ['run', '-d', '--name', name, '--driver', driver];
  const status = (name: string) => sandbox.json<Status>('inspect', name);

  it.runIf(isRoot)('serves from a checkout that only root may enter, in /, and says so', async () => {
    const name = `web-${driver}`;
    // As the README has it.
    const command = ['busybox', 'httpd', '-f', '-p', '80', '-h', '/srv'];
    const ran = await there.pk([...detached(name), '-p', `${await freePort()}:80`, '--', ...command]);
    expect(ran).toMatchObject({ code: 0, stdout: `${name}\n` });
    expect(ran.stderr.trim().split('\n')).toEqual([expect.stringContaining(`it works in / and not in ${inner}`)]);
    expect(await sandbox.ok('ps')).toMatch(new RegExp(`^${name} +running`, 'm'));
    expect(await status(name)).toMatchObject({ state: 'running', workingDirectory: '/' });
    // An order is none of the wish.
    expect(await sandbox.pk(['exec', '-w', inner, name, '--', 'pwd'])).toMatchObject({
      code: 126,
      stderr: expect.stringContaining(`its working directory ${inner} cannot be entered`),
    });
    expect(await sandbox.ok('exec', name, '--', 'pwd')).toBe('/\n');
    await sandbox.ok('rm', '-f', name);
  });

  it.runIf(isRoot)('sees in the foreground what its caller sees', async () => {
    expect(await there.pk(['run', '--driver', driver, '--', 'pwd'])).toMatchObject({
      code: 0,
      stdout: `${inner}\n`,
      stderr: '',
    });
  });

  it.each([
    ['a directory that is none', ['-w', '/nonexistent'], ['true'], 126, /\/nonexistent cannot be entered/],
    ['a command that is none', ['-w', '/'], ['no-such-command'], 127, /no-such-command could not be started/],
    ['a user that is none', ['-w', '/', '-u', 'nosuch'], ['true'], 126, /no user nosuch/],
  ] as const)('keeps what failed, for %s, whatever its restart policy', async (_what, options, command, code, why) => {
    const name = `bad-${driver}-${code}`;
    const ran = await sandbox.pk([...detached(name), '--restart', 'always', ...options, '--', ...command]);
    expect(ran).toMatchObject({ code, stdout: '', stderr: expect.stringMatching(why) });
    expect(await status(name)).toMatchObject({
      state: 'exited',
      exit: { reason: 'failed', exitCode: code },
      restarts: 0,
      workingDirectory: null,
    });
    expect(await sandbox.ok('ps')).toMatch(new RegExp(`^${name} +exited \\(failed\\)`, 'm'));
    expect(await sandbox.pk(['logs', name])).toMatchObject({ code: 0, stdout: '', stderr: expect.stringMatching(why) });
    expect(await sandbox.pk(['start', name])).toMatchObject({ code, stderr: expect.stringMatching(why) });
    expect(await sandbox.pk(['run', '--driver', driver, ...options, '--', ...command])).toMatchObject({ code });
    await sandbox.ok('rm', name);
  });

  it('has executed the command when it answers', async () => {
    const name = `quick-${driver}`;
    const common = ['--driver', driver, '-w', '/'];
    expect(await sandbox.ok('run', '-d', '--name', name, ...common, '--', 'sh', '-c', 'exit 3')).toBe(`${name}\n`);
    expect(await status(name)).toMatchObject({ workingDirectory: '/' });
    await until('its end', async () => (await status(name)).state === 'exited');
    expect(await sandbox.ok('ps')).toMatch(new RegExp(`^${name} +exited \\(3\\)`, 'm'));
    expect((await sandbox.pk(['logs', name])).stderr).toContain('wrote nothing: exited with status 3');
    await sandbox.ok('rm', name);
  });
});

it('works in / where the working directory is gone, and says so', async () => {
  const gone = join(closed, 'gone');
  const script = 'mkdir "$0" && cd "$0" && rmdir "$0" && exec "$@"';
  const lost = new Sandbox(sandbox.home, sandbox.env, ['sh', '-c', script, gone]);
  const ran = await lost.pk(['run', '--driver', 'uml', '--', 'pwd']);
  expect(ran).toMatchObject({
    code: 0,
    stdout: '/\n',
    stderr: expect.stringContaining('the working directory is gone'),
  });
  expect(await lost.pk(['ps'])).toMatchObject({ code: 0 });
  for (const args of [
    ['run', '--driver', 'uml', '-v', './x:/x', '--', 'true'],
    ['run', '--driver', 'uml', '-w', 'x', '--', 'true'],
    ['run', '--driver', 'uml', '--rootfs', 'x', '--', 'true'],
    ['apply', '-f', 'x.yaml'],
    ['plan', '-f', '-'],
    ['image', 'import', 'x', '--name', 'x'],
  ]) {
    const { code, stderr } = await lost.pk(args);
    expect({ args, code, stderr }).toMatchObject({
      code: 125,
      stderr: expect.stringContaining('working directory is gone'),
    });
    expect(stderr).not.toMatch(/uv_cwd|ENOENT/);
  }
  expect(() => execFileSync('ls', [gone], { stdio: 'ignore' })).toThrow();
});

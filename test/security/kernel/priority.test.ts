/**
 * Whoever starts a daemon may come before others on the CPU and the disk, or be spared when memory is short. His kernels
 * are not. To come before others takes rights that tests do not have, so that a guest's root tries it, with our programs.
 */
import { chmod, copyFile, mkdir, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { run } from '../../../src/sys/process.ts';
import { nativeProgram } from '../../support/native.ts';
import { Sandbox } from '../../support/pk.ts';

let sandbox: Sandbox;
let root: string;

beforeAll(async () => {
  sandbox = await Sandbox.create();
  root = await mkdtemp(join(tmpdir(), 'pk-root-'));
  await chmod(root, 0o755);
  for (const directory of ['bin', 'proc', 'sys', 'dev', 'tmp', 'etc']) await mkdir(join(root, directory));
  await copyFile('/bin/busybox', join(root, 'bin', 'busybox'));
  for (const applet of ['sh', 'cat']) await symlink('busybox', join(root, 'bin', applet));
  for (const program of ['pk-jail', 'pk-cell'] as const)
    await copyFile(await nativeProgram(program), join(root, 'bin', program));
  const source = join(import.meta.dirname, '../../fixtures/priority.c');
  const compiled = await run(['musl-gcc', '-static', '-Wall', '-Wextra', '-o', join(root, 'bin', 'priority'), source]);
  expect(compiled).toMatchObject({ code: 0, stderr: '' });
});
afterAll(async () => {
  await sandbox[Symbol.asyncDispose]();
  await rm(root, { recursive: true, force: true });
});

const shell = (script: string) =>
  sandbox.pk(['run', '--driver', 'uml', '--rootfs', root, '--', '/bin/sh', '-c', script]);

it('a VMM has the priority of anybody, and no right to another', async () => {
  const before = await shell('exec /bin/priority take /bin/priority tell');
  const after = await shell('exec /bin/priority take /bin/pk-jail --filter uml -- /bin/priority tell');
  expect(before.stdout).toBe('policy 1\nnice -5\ndisk 1\nnice-limit 40\nreal-time-limit 50\n');
  expect(after.stdout).toBe('policy 0\nnice 0\ndisk 0\nnice-limit 0\nreal-time-limit 0\n');
});

it('a jail is not spared when memory is short', async () => {
  const told = await shell(
    'echo -500 > /proc/self/oom_score_adj; cat /proc/self/oom_score_adj; exec /bin/pk-cell --single -- /bin/cat /proc/self/oom_score_adj',
  );
  expect(told).toMatchObject({ code: 0, stdout: '-500\n0\n' });
});

/** `pk cp` of trees, into, out of and between kernels of both drivers, and what goes on without who started it. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Sandbox } from '../support/pk.ts';

let base: string;
let sandbox: Sandbox;

beforeAll(async () => {
  base = mkdtempSync(join(tmpdir(), 'pk-copy-'));
  mkdirSync(join(base, 'tree/sub'), { recursive: true });
  writeFileSync(join(base, 'tree/sub/large'), Buffer.alloc(300_000, 'abc'));
  writeFileSync(join(base, 'tree/program'), '#!/bin/sh\necho ran\n', { mode: 0o755 });
  symlinkSync('program', join(base, 'tree/link'));
  sandbox = await Sandbox.create();
  for (const driver of ['uml', 'qemu'])
    await sandbox.ok('run', '-d', '--driver', driver, '--name', driver, '--', 'sleep', '10000');
});
afterAll(async () => {
  await sandbox[Symbol.asyncDispose]();
  rmSync(base, { recursive: true, force: true });
});

const same = (one: string, other: string) => execFileSync('diff', ['-r', '--no-dereference', one, other]);

it.each(['uml', 'qemu'])('a tree goes into a kernel on %s and comes back the same', async (driver) => {
  await sandbox.ok('cp', join(base, 'tree'), `${driver}:/tmp`);
  await sandbox.ok('cp', `${join(base, 'tree')}/.`, `${driver}:/tmp/content`);
  expect(await sandbox.ok('exec', driver, '/tmp/tree/link')).toBe('ran\n');
  mkdirSync(join(base, driver));
  await sandbox.ok('cp', `${driver}:/tmp/content`, join(base, driver));
  same(join(base, 'tree'), join(base, driver, 'content'));
  expect(readdirSync(join(base, driver))).toEqual(['content']);
  expect((await sandbox.pk(['cp', `${driver}:/nowhere`, base])).stderr).toContain('/nowhere');
  expect((await sandbox.pk(['cp', join(base, 'tree'), `${driver}:/tmp/tree/program`])).stderr).toContain(
    'not a directory',
  );
});

it('an archive is a pipe, and a tree goes from one kernel to the other', async () => {
  const archive = join(base, 'tree.tar');
  execFileSync('sh', ['-c', 'tar -C "$1" -cf "$2" .', 'sh', join(base, 'tree'), archive]);
  await sandbox.ok('exec', 'uml', 'mkdir', '/tmp/piped');
  expect(await sandbox.pk(['cp', '-', 'uml:/tmp/piped'], readFileSync(archive, 'latin1'))).toMatchObject({ code: 0 });
  await sandbox.ok('cp', 'uml:/tmp/piped', 'qemu:/tmp');
  await sandbox.ok('cp', 'qemu:/tmp/piped', join(base, 'round'));
  same(join(base, 'tree'), join(base, 'round'));
});

it.each(['uml', 'qemu'])('a command that was put behind on %s outlives its client and the daemon', async (driver) => {
  expect(await sandbox.ok('exec', '-d', driver, 'sh', '-c', 'exec sleep 7531')).toBe('');
  await sandbox.ok('daemon', 'stop');
  expect(await sandbox.ok('exec', driver, 'sh', '-c', 'cat /proc/[0-9]*/cmdline')).toContain('7531');
  const absent = await sandbox.pk(['exec', '-d', driver, 'no-such-program']);
  expect([absent.code, absent.stderr]).toEqual([127, expect.stringContaining('no-such-program')]);
});

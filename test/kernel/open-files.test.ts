/** Programs that open more files, one after the other, than the host lets a kernel have open. */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Sandbox } from '../support/pk.ts';

const MOST_OPEN = 4096;
const FILES = 3 * MOST_OPEN;
let sandbox: Sandbox;
let base: string;

beforeAll(async () => {
  base = mkdtempSync(join(tmpdir(), 'pk-open-'));
  chmodSync(base, 0o755);
  for (let directory = 0; directory < FILES / 64; directory++) {
    mkdirSync(join(base, 'files', String(directory)), { recursive: true });
    for (let file = 0; file < 64; file++) writeFileSync(join(base, 'files', String(directory), String(file)), 'text\n');
  }
  const { home, env } = await Sandbox.create();
  sandbox = new Sandbox(home, env, ['prlimit', `--nofile=${MOST_OPEN}:${MOST_OPEN}`]);
});
afterAll(async () => {
  await sandbox[Symbol.asyncDispose]();
  rmSync(base, { recursive: true });
});

// A volume that is written to is served in another way, by pk-share. QEMU closes what it has open too many of by itself.
it.each([':ro', ''])('reads them all on User Mode Linux, and can open more (%j)', async (access) => {
  const script = 'find /files -type f -exec cat {} + | wc -l; cat /etc/hostname';
  const where = ['--driver', 'uml', '--hostname', 'many', '-v', `${join(base, 'files')}:/files${access}`];
  const ran = await sandbox.pk(['run', '-q', ...where, '--', 'sh', '-c', script]);
  expect(ran).toMatchObject({ stdout: `${FILES}\nmany\n`, stderr: '', code: 0 });
});

/** AF_VSOCK as the line of kernels beside the host's uses it, on a kernel that has its loopback, and not the patches' transport. */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { findCompiler } from '../../scripts/setup/native.ts';
import { run } from '../../src/sys/process.ts';
import { Sandbox } from '../support/pk.ts';

const ROOT = join(import.meta.dirname, '../..');

it('takes what root of the right kernel sends, and nobody else; a kernel without the patches says so', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'pk-vsock-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  chmodSync(directory, 0o755);
  const { argv, env } = findCompiler(directory);
  const sources = ['test/fixtures/vsock.c', 'native/common/vsock.c'].map((path) => join(ROOT, path));
  const flags = ['-std=gnu11', '-O1', '-Wall', '-Wextra', '-Werror', '-static', '-o', join(directory, 'vsock')];
  expect(await run([...argv, ...flags, ...sources], { env })).toMatchObject({ code: 0, stderr: '' });
  const sandbox = await Sandbox.create();
  onTestFinished(() => sandbox[Symbol.asyncDispose]());
  const words = ['run', '--driver', 'uml', '-v', `${directory}:/fixture:ro`, '--'];
  const { stdout } = await sandbox.pk([...words, 'sh', '-c', 'modprobe vsock_loopback && /fixture/vsock']);
  expect(stdout.trim().split('\n')).toEqual([
    'root of the peer: taken',
    'hello',
    'its end is seen',
    'root of another kernel: Operation not permitted',
    "another user's port: Operation not permitted",
    'the transport of the patches: Protocol not available',
  ]);
});

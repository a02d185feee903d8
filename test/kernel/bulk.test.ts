/** Much data into and out of real kernels: unharmed, in order, by several at once, over a change of the daemon. */
import { createHash, randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Sandbox } from '../pk.ts';

const digest = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

describe.each(['uml', 'qemu'])('%s', (driver) => {
  let sandbox: Sandbox;
  beforeAll(async () => {
    sandbox = await Sandbox.create();
    await sandbox.ok('run', '-d', '--driver', driver, '--name', 'bulk', '--', 'sleep', '100000');
  });
  afterAll(() => sandbox[Symbol.asyncDispose]());

  /** What `command` in the guest makes of `input`. */
  async function through(input: Uint8Array, ...command: string[]): Promise<Buffer> {
    const child = sandbox.start('exec', '-i', 'bulk', '--', ...command);
    child.stdin!.on('error', () => {}); // the command may not want it all
    child.stdin!.end(input);
    return buffer(child.stdout!);
  }

  it('carries several streams at once, each to its own', async () => {
    const inputs = [6_000_001, 3_000_000, 1024, 1023].map((bytes) => randomBytes(bytes));
    const outputs = await Promise.all(inputs.map((input) => through(input, 'cat')));
    expect(outputs.map(digest)).toEqual(inputs.map(digest));
  });

  it('goes on after one that reads nothing, and one that nobody reads', async () => {
    expect((await through(randomBytes(2_000_000), 'true')).length).toBe(0);
    const unread = sandbox.start('exec', 'bulk', '--', 'cat', '/dev/zero');
    await new Promise((resolve) => unread.stdout!.once('readable', resolve));
    const input = randomBytes(2_000_000);
    expect(digest(await through(input, 'cat'))).toBe(digest(input));
    unread.kill('SIGKILL');
  });

  it('copies files in and out, also under a new daemon', async () => {
    const [from, to] = [join(sandbox.home, 'from'), join(sandbox.home, 'to')];
    for (const round of [0, 1]) {
      const content = randomBytes(3_000_000);
      await writeFile(from, content);
      await sandbox.ok('cp', from, 'bulk:/tmp/file');
      await sandbox.ok('cp', 'bulk:/tmp/file', to);
      expect(digest(await readFile(to))).toBe(digest(content));
      if (round === 0) process.kill((await sandbox.json<{ daemon: { pid: number } }>('version')).daemon.pid, 'SIGKILL');
    }
  });
});

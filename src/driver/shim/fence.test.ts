import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { jailLeft, noteJail } from './fence.ts';
import { untilEnded, untilGone } from './process.ts';

const isRoot = process.getuid?.() === 0;
let directory: string;
let child: ChildProcess | undefined;
let first: number | undefined;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'pk-fence-'));
});
afterEach(async () => {
  child?.kill('SIGKILL');
  if (first !== undefined && jailLeft(directory) === first) process.kill(first, 'SIGKILL');
  rmSync(directory, { recursive: true });
});

it.runIf(isRoot)('a jail is gone when its first process is, whatever became of those outside', async () => {
  // A shim, the outer process of a jail, and the first one in its namespace, which outlives both.
  child = spawn('/bin/sh', ['-c', 'unshare --pid --fork sh -c "echo up; exec sleep 1000" & read line'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  await once(child.stdout!, 'data');
  noteJail(directory, child.pid);
  first = jailLeft(directory);
  expect(first).toBeGreaterThan(child.pid!);
  child.kill('SIGKILL');
  await once(child, 'exit');
  expect(jailLeft(directory)).toBe(first);
  for (const wait of [() => untilEnded(directory, 0), () => untilGone(directory, undefined, 0)])
    await expect(wait()).rejects.toMatchObject({ code: 'internal', value: first });
  process.kill(first!, 'SIGKILL');
  await untilEnded(directory, 10_000);
  expect(jailLeft(directory)).toBeUndefined();
});

it('nothing is known of a jail without a shim, or that was never seen', () => {
  noteJail(directory, undefined);
  noteJail(directory, process.pid);
  expect(jailLeft(directory)).toBeUndefined();
});

import { mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { Instances } from '../instance/contract.ts';
import { PolykernelError } from '../sys/errors.ts';
import { handOverExecutors, loadState } from './hand-over.ts';

it('keeps the state open for no kernel that is gone before it can read', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'pk-hand-over-'));
  try {
    const file = join(directory, 'first');
    writeFileSync(file, 'state');
    const gone = {
      record: { spec: {} },
      exec: () => Promise.reject(new PolykernelError('conflict', 'web is exited')),
    };
    const executors = handOverExecutors({ get: () => gone } as unknown as Instances);
    const { undo: _, ...step } = loadState('web', { save: '', load: 'cat', limitBytes: 1, deadlineMs: 1000 }, file);
    const run = executors['upgrade.load'].run(step as never, new AbortController().signal);
    await expect(run).rejects.toThrow('web is exited');
    // Whatever was asked of the system before has been begun by then.
    for (let round = 0; round < 20; round++) await stat(file);
    expect(openFiles()).not.toContain(file);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

function openFiles(): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`)];
    } catch {
      return [];
    }
  });
}

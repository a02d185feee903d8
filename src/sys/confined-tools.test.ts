/** Tools that run at once, of which one was taken over, with control groups and without. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { nativeProgram } from '../../test/support/native.ts';
import { confinedOutput, startConfined } from './confined-tool.ts';
import type * as toolGroups from './tool-groups.ts';

const here = vi.hoisted(() => ({ groups: true }));
vi.mock('./tool-groups.ts', async (original) => {
  const real = await original<typeof toolGroups>();
  const none = { joins: [], closeJoins: () => {}, wasShort: () => false, remove: async () => {} };
  return { ...real, makeToolGroups: (limits: never) => (here.groups ? real.makeToolGroups(limits) : none) };
});

const isRoot = process.getuid?.() === 0;
const PROCESSES = 16;
let directory: string;
beforeEach(async () => {
  await nativeProgram('pk-jail');
  directory = mkdtempSync(join(tmpdir(), 'pk-tools-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

/** Processes of the host whose real user this is. */
function ofUser(uid: number): number {
  return readdirSync('/proc').filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/status`, 'latin1').includes(`\nUid:\t${uid}\t`);
    } catch {
      return false;
    }
  }).length;
}

describe.each([
  ['with control groups, where there are any', true],
  ['without control groups', false],
])('a tool that makes processes without end, %s', (_, groups) => {
  it('has few, and stops no other one', async () => {
    here.groups = groups;
    const shell = (script: string) => ({
      subject: 'x.tar',
      programs: ['busybox'],
      args: ['sh', '-c', script],
      deadlineMs: 60_000,
    });
    // A shell ends when it cannot fork: the outer one becomes a program that stays.
    const many = Array(400).fill('busybox sleep 1000').join(' | ');
    const fork = `(${many}) 2>/out/said; echo full >/out/full; exec busybox sleep 1000`;
    const hog = startConfined({ ...shell(fork), place: directory });
    try {
      const deadline = AbortSignal.timeout(30_000);
      while (!existsSync(join(directory, 'full'))) await delay(5, undefined, { signal: deadline });
      expect(readFileSync(join(directory, 'said'), 'utf8')).toMatch(/can't fork/);
      // With the first process of its jail, which is in no group but counted by user.
      if (isRoot) expect(ofUser(statSync(directory).uid)).toBeLessThanOrEqual(PROCESSES + 1);
      const others = Array.from({ length: 3 }, () => confinedOutput(shell('busybox echo fine | busybox cat'), 64));
      expect((await Promise.all(others)).map(String)).toEqual(['fine\n', 'fine\n', 'fine\n']);
    } finally {
      hog.stop(new Error('enough'));
      await expect(hog.ended).rejects.toThrow('enough');
    }
  });
});

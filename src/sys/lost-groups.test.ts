/** A tree like that of control groups: one that can be removed is a directory whose files the host kernel takes along. */
import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { lostGroups, removeLostGroups } from './lost-groups.ts';

const HOUR_MS = 3_600_000;
const NOW = 10 * HOUR_MS;
const id = (digit: string) => digit.repeat(32);
let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'pk-lost-'));
});
afterEach(() => rmSync(root, { recursive: true }));

function group(path: string, madeAt: number, processes = ''): void {
  const directory = join(root, path);
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, 'cgroup.procs'), processes);
  utimesSync(directory, madeAt / 1000, madeAt / 1000);
}

it('are those of jails, old and empty, wherever they are, and no others', () => {
  group(`pids/polykernel-${id('a')}`, HOUR_MS);
  group(`memory/session/deep/polykernel-${id('b')}`, HOUR_MS);
  group('pids/polykernel-tool-0123456789abcdef', HOUR_MS);
  group(`pids/polykernel-${id('c')}`, NOW - HOUR_MS + 1);
  group(`pids/polykernel-${id('d')}`, HOUR_MS, '17\n');
  group('pids/polykernel-mine', HOUR_MS);
  group('pids/polykernel', HOUR_MS);
  group(`cpuset/polykernel/${id('e')}`, HOUR_MS);
  group(`unified/polykernel/${id('f')}`, HOUR_MS);
  writeFileSync(join(root, `unified/polykernel/${id('f')}/cgroup.threads`), '17\n');
  utimesSync(join(root, `unified/polykernel/${id('f')}`), 1, 1);
  expect(
    lostGroups(NOW, root)
      .map((path) => basename(path))
      .sort(),
  ).toEqual([id('e'), 'polykernel-tool-0123456789abcdef', `polykernel-${id('a')}`, `polykernel-${id('b')}`].sort());
});

it('go when they can, and what cannot be removed is passed over', () => {
  const paths = ['a', 'b'].map((digit) => `pids/polykernel-${id(digit)}`);
  for (const path of paths) group(path, HOUR_MS);
  // As rmdir(2) refuses where something is in it.
  expect(removeLostGroups(NOW, root)).toEqual([]);
  expect(lostGroups(NOW, root)).toHaveLength(2);
  expect(removeLostGroups(NOW, join(root, 'nowhere'))).toEqual([]);
});

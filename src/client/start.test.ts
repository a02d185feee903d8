import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { layout, startingMark } from '../sys/paths.ts';
import { claimStart } from './start.ts';

function stateDirectory(): { home: string; mark: string } {
  const home = mkdtempSync(join(tmpdir(), 'pk-start-'));
  onTestFinished(() => rmSync(home, { recursive: true }));
  return { home, mark: startingMark(layout(home).socket) };
}

it('of several clients one starts the daemon, and the next one once it has done so', () => {
  const { home, mark } = stateDirectory();
  const claim = claimStart(home);
  expect(claim).toBeDefined();
  expect([claimStart(home), claimStart(home)]).toEqual([undefined, undefined]);
  expect(existsSync(mark)).toBe(true);
  claim!.release();
  expect(claimStart(home)).toBeDefined();
});

it.each([
  ['has ended', '4194305 1'],
  ['has ended, and its number is of another process', `${process.pid} 1`],
])('what one that %s has claimed is free', (_, text) => {
  const { home, mark } = stateDirectory();
  writeFileSync(mark, text);
  claimStart(home);
  expect(claimStart(home)).toBeDefined();
});

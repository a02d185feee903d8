import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { layout } from '../sys/paths.ts';
import { untilStateIsLost } from './lost-state.ts';

let base: string;
let seen: { isLost: boolean };
const files = () => layout(join(base, 'home'));
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'pk-lost-'));
  make();
  const mine = { isLost: false };
  seen = mine;
  void untilStateIsLost(files(), 1).then(() => {
    mine.isLost = true;
  });
});
afterEach(() => {
  rmSync(base, { recursive: true });
});

function make(): void {
  const { home, lock, database } = files();
  // A number of its own for each file, whatever the file system gives out again.
  const made = mkdtempSync(join(base, 'made-'));
  for (const path of [lock, database]) writeFileSync(join(made, path.slice(home.length)), '');
  renameSync(made, home);
}

it.each([
  ['the lock alone is removed', () => rmSync(files().lock)],
  ['the database alone is moved away', () => renameSync(files().database, join(base, 'aside'))],
  ['the directory is moved, or hidden', () => renameSync(files().home, join(base, 'moved'))],
])('a state directory is there yet when %s', async (_, change) => {
  change();
  await delay(50);
  expect(seen.isLost).toBe(false);
});

it.each([false, true])('it is lost when it is removed (and made anew: %s)', async (isAnew) => {
  renameSync(files().database, join(base, 'kept'));
  rmSync(files().home, { recursive: true });
  if (isAnew) make();
  await expect.poll(() => seen.isLost).toBe(true);
});

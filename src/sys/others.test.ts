import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { closedOnTheWay, liesIn } from './others.ts';

let base: string;
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'pk-others-'));
  chmodSync(base, 0o755);
  mkdirSync(join(base, 'a/b/c'), { recursive: true });
});
afterEach(() => rmSync(base, { recursive: true }));

it('finds the outermost directory that not everybody may enter', async () => {
  expect(await closedOnTheWay(join(base, 'a/b/c'), 'everybody')).toBeUndefined();
  chmodSync(join(base, 'a/b'), 0o750);
  expect(await closedOnTheWay(join(base, 'a'), 'everybody')).toBeUndefined();
  expect(await closedOnTheWay(join(base, 'a/b'), 'everybody')).toBe(join(base, 'a/b'));
  expect(await closedOnTheWay(join(base, 'a/b/c/none/such'), 'everybody')).toBe(join(base, 'a/b'));
  chmodSync(join(base, 'a'), 0o700);
  symlinkSync(join(base, 'a/b'), join(base, 'link'));
  expect(await closedOnTheWay(join(base, 'link/c'), 'everybody')).toBe(join(base, 'a'));
});

it('tells what lies in a directory from what is only called alike', () => {
  expect(liesIn('/a/b', ['/a'])).toBe(true);
  expect(liesIn('/a', ['/a'])).toBe(true);
  expect(liesIn('/ab', ['/a'])).toBe(false);
});

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { poolLease } from './pool-lease.ts';

const directory = mkdtempSync(join(tmpdir(), 'pk-lease-'));
const [first, second] = [mkdtempSync(join(tmpdir(), 'pk-home-')), mkdtempSync(join(tmpdir(), 'pk-home-'))];
afterEach(() => {
  for (const path of [directory, first, second]) rmSync(path, { recursive: true, force: true });
});

it('is held by one state directory, until that drops it or is gone', () => {
  const [mine, other] = [poolLease(first, directory), poolLease(second, directory)];
  mine.take();
  mine.take();
  expect(() => other.take()).toThrow(
    expect.objectContaining({ code: 'conflict', message: `the daemon of ${first} has the pool of this machine` }),
  );
  other.drop();
  expect(() => other.take()).toThrow();
  mine.drop();
  other.take();
  expect(() => mine.take()).toThrow();
  rmSync(second, { recursive: true });
  mine.take();
});

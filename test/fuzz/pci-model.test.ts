import { expect, test } from 'vitest';
import { runModel } from '../support/pci-model.ts';

/** A million in all: what src/pci/cache/model.test.ts does in small. */
const RUNS = [1, 2, 3, 4, 5].flatMap((seed) => [
  [seed, true],
  [seed, false],
]) as [number, boolean][];
const OPERATIONS = 100_000;

test.each(RUNS)('no stale read of a configuration space: seed %i, owned %s', (seed, owned) => {
  const { reads, stale } = runModel(seed, OPERATIONS, owned);
  expect(stale).toEqual([]);
  expect(reads).toBeGreaterThan(OPERATIONS / 2);
});

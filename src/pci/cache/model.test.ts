import { expect, it } from 'vitest';
import { runModel } from '../../../test/support/pci-model.ts';

/** test/fuzz/pci-model.test.ts does ten times as many. */
const OPERATIONS = 50_000;

it.each([true, false])('nothing is stale after reads, writes, resets and changes by others; owned: %s', (owned) => {
  const { reads, hits, stale } = runModel(19, OPERATIONS, owned);
  expect(stale).toEqual([]);
  expect(reads).toBeGreaterThan(OPERATIONS / 2);
  // It is no cache that never answers.
  expect(hits).toBeGreaterThan(reads / 10);
});

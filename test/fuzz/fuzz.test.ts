import { expect, test } from 'vitest';
import { fuzz, NAMES } from './fuzzer.ts';

/** Each run of the project sees the same inputs; `npm run fuzz` sees others. */
const SEED = 1;
const RUNS = Number(process.env.FUZZ_RUNS ?? 100_000);

test.concurrent.for(NAMES)('%s', async (name) => {
  const { inputs, failure } = await fuzz({ name, seed: SEED, runs: RUNS, seconds: Number.POSITIVE_INFINITY });
  expect(failure).toBeUndefined();
  expect(inputs).toBe(RUNS);
});

import { defineConfig } from 'vitest/config';

/**
 * `unit`: pure and on the fake driver, fast. `fuzz`: every decoder under mutated inputs. `kernel`: boots real kernels, and
 * runs other real programs for long (test/processes), one file at a time on small machines. test/security holds the tests of what SECURITY.md promises, those with kernels in a folder of their own.
 */
export default defineConfig({
  test: {
    // Left to itself vitest leaves a CPU free, of two the half.
    maxWorkers: '100%',
    projects: [
      {
        test: {
          name: 'unit',
          include: ['src/**/*.test.ts', 'test/system/**/*.test.ts', 'test/security/*.test.ts'],
          testTimeout: 60_000,
        },
      },
      { test: { name: 'fuzz', include: ['test/fuzz/**/*.test.ts'], testTimeout: 600_000, maxConcurrency: 2 } },
      {
        test: {
          name: 'kernel',
          include: ['test/kernel/**/*.test.ts', 'test/security/kernel/**/*.test.ts', 'test/processes/**/*.test.ts'],
          testTimeout: 240_000,
          hookTimeout: 240_000,
          fileParallelism: false,
        },
      },
    ],
  },
});

import { defineConfig } from 'vitest/config';

/**
 * `unit`: one module at a time. `system`: the product on the fake driver, and what SECURITY.md promises. Files of either share
 * processes, so a test leaves no global changed: half the time would go into starting processes and loading what others have
 * loaded. `fuzz`: every decoder under mutated inputs. `kernel`: boots real kernels, and runs other real programs for long
 * (test/processes), one file at a time on small machines.
 */
export default defineConfig({
  test: {
    // Left to itself vitest leaves a CPU free, of two the half.
    maxWorkers: '100%',
    projects: [
      {
        test: {
          name: 'unit',
          include: ['src/**/*.test.ts'],
          testTimeout: 60_000,
          isolate: false,
        },
      },
      {
        test: {
          name: 'system',
          include: ['test/system/**/*.test.ts', 'test/security/*.test.ts'],
          isolate: false,
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

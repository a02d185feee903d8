/** What two commits can be compared by. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Row } from '../row.ts';
import type { Checkout } from './checkout.ts';
import { daemonAtRest } from './daemon.ts';
import type { Trial } from './interleave.ts';

/** Families of `bench/main.ts`; each commit runs its own, and each of its figures is compared. */
const FAMILIES = ['channel', 'flood', 'plan', 'run', 'service'];

/** Time of `pk run -- true`, as a user waits for it: the daemon runs, QEMU's template is built. */
const starts = (driver: string): Trial<Checkout> => ({
  name: driver,
  take: async (checkout) => ({
    [`${driver}: pk run -- true, ms`]: await checkout.time('run', '--driver', driver, '--', 'true'),
  }),
});

const family = (name: string): Trial<Checkout> => ({
  name,
  async take(checkout) {
    // Commits before the launcher start Node themselves.
    const launcher = existsSync(join(checkout.tree, 'scripts/node.sh'))
      ? ['sh', 'scripts/node.sh']
      : [process.execPath, '--'];
    const rows = JSON.parse(await checkout.run(...launcher, 'bench/main.ts', name, '--json')) as Row[];
    return Object.fromEntries(rows.map((row) => [`${row.name}, ${row.unit}`, row.value]));
  },
});

export interface Comparison {
  /** Makes a checkout warm; done before the first run. */
  prepare?(checkout: Checkout): Promise<unknown>;
  trials: readonly Trial<Checkout>[];
}

export const BENCHES: Readonly<Record<string, Comparison>> = {
  start: {
    prepare: (checkout) => checkout.time('image', 'prewarm', '--driver', 'qemu'),
    trials: [starts('uml'), starts('qemu')],
  },
  daemon: { trials: [{ name: 'daemon', take: daemonAtRest }] },
  ...Object.fromEntries(FAMILIES.map((name) => [name, { trials: [family(name)] }])),
};

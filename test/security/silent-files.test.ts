/** File systems that others serve, and that never answer. */
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { startDaemon, untilState } from '../support/harness.ts';
import { canServe, silentMount } from '../support/silent-mount.ts';

it.runIf(canServe())(
  'keep from others neither the daemon nor its files, as roots, volumes and working directories',
  async () => {
    const test = await startDaemon();
    const { path, end } = silentMount();
    try {
      const stuck = ['a', 'b', 'c'].flatMap((name) => [
        test.create({ command: ['true'], root: path }),
        test.create({ command: ['true'], volumes: [{ source: join(path, name), target: '/x', readOnly: false }] }),
        test.create({ command: ['true'], cwd: join(path, name) }),
      ]);
      const outcomes = Promise.allSettled(stuck);
      await test.create({ name: 'free', command: ['sleep'] });
      await untilState(test, 'free', 'running');
      end();
      // The working directory is only a wish, and gone now.
      expect((await outcomes).map(({ status }) => status).filter((status) => status === 'rejected')).toHaveLength(6);
    } finally {
      end();
    }
  },
);

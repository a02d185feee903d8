/** A machine without HAProxy. */
import { expect, test, vi } from 'vitest';
import { startDaemon } from '../support/harness.ts';

vi.mock(import('../../src/sys/process.ts'), async (original) => {
  const real = await original();
  return { ...real, which: (name, path) => (name.endsWith('haproxy') ? undefined : real.which(name, path)) };
});

test('names the package when HAProxy is absent', async () => {
  const { client } = await startDaemon({ privileged: true });
  await expect(client.createService({ name: 'api', port: 8080, targets: [{ instance: 'web' }] })).rejects.toMatchObject(
    {
      code: 'unavailable',
      message: 'the program haproxy is missing',
      hint: expect.stringContaining('apt-get install haproxy'),
    },
  );
  expect(await client.services()).toEqual([]);
});

/** What is only tried leaves everything as it was, and says what would be; through a whole daemon, on the fake driver. */
import { expect, it } from 'vitest';
import type { CreateRequest } from '../../src/instance/contract.ts';
import { startDaemon, untilState } from '../support/harness.ts';

const MIB = 2 ** 20;
const POOL = { cpus: [2, 3, 4, 5], sharedCpus: [], memory: { kind: 'size', bytes: 1024 * MIB }, devices: [] } as const;
const owning = (mib: number): CreateRequest => ({
  command: ['sleep', 'inf'],
  driver: 'fake',
  partition: {
    cpus: { kind: 'count', count: 1, numa: null, smt: 'any', cache: 'any', near: null },
    memory: { kind: 'size', bytes: mib * MIB, node: null, hugePageBytes: null },
    devices: [],
  },
});

it('a pool that is tried is answered as it would be, and is not there', async () => {
  const { client } = await startDaemon();
  const tried = await client.initPool({ ...POOL, dryRun: true });
  await expect(client.pool()).rejects.toMatchObject({ code: 'not-found' });
  const made = await client.initPool(POOL);
  expect({ ...made, enforced: [], notes: [] }).toEqual(tried);
  const grown = await client.growPool({ ...POOL, cpus: [6], memory: { kind: 'share' }, dryRun: true });
  expect(grown.pool.cpus).toEqual([2, 3, 4, 5, 6]);
  expect(await client.pool()).toEqual(made);
  await expect(client.shrinkPool({ ...POOL, cpus: [7], dryRun: true })).rejects.toMatchObject({ code: 'invalid' });
});

it('an instance that is tried has its place told, and takes nothing', async () => {
  const test = await startDaemon();
  const { client } = test;
  await client.initPool(POOL);
  const before = await client.pool();
  const tried = await client.tryOut({ ...owning(512), name: 'web' });
  expect(await client.list()).toEqual([]);
  expect(await client.pool()).toEqual(before);
  await test.create({ ...owning(512), name: 'web' });
  await untilState(test, 'web', 'running');
  const { spec, placement } = await client.inspect('web');
  expect(tried).toEqual({ spec, placement });
  await expect(client.tryOut({ ...owning(512), name: 'web' })).rejects.toMatchObject({ code: 'conflict' });
});

it('two halves fit: what is owned is counted by the byte, and what does not fit is told with what would', async () => {
  const test = await startDaemon();
  await test.client.initPool(POOL);
  for (const name of ['one', 'two']) await test.create({ ...owning(512), name });
  await expect(test.client.tryOut({ ...owning(512), name: 'three' })).rejects.toMatchObject({
    code: 'conflict',
    message: expect.stringMatching(/^three: needs 512\.00 MiB; 0\.00 MiB is free/),
    hint: expect.stringContaining('Release one, which has 512 MiB there.'),
  });
});

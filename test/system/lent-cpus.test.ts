/** Kernels beside the host's take CPUs and memory out of its sight: plans and pools know the machine whole all the same. */
import { expect, it } from 'vitest';
import type { StackSource } from '../../src/stack/contract.ts';
import type { Topology } from '../../src/topology/index.ts';
import { eventually, HOST, startDaemon } from '../support/harness.ts';

const STACK: StackSource = {
  text: `
pool: {cpus: 2-7, memory: 12GiB}
kernels:
  web: {driver: fake, command: [sleep, inf], partition: {cpus: {count: 2, smt: any}, memory: 8GiB}}
`,
  ...{ file: 'test.yaml', directory: '/tmp', defaultName: 'shop' },
};

it('a plan that changes nothing moves nobody, and the pool grows, also under another daemon', async () => {
  const whole = HOST.readTopology();
  let gone: readonly number[] = [];
  const readTopology = (): Topology => ({
    ...whole,
    cpus: whole.cpus.filter(({ id }) => !gone.includes(id)),
    caches: whole.caches.map((cache) => ({ ...cache, cpus: cache.cpus.filter((id) => !gone.includes(id)) })),
    numaNodes: whole.numaNodes.map((node) => ({
      ...node,
      cpus: node.cpus.filter((id) => !gone.includes(id)),
      memoryBytes: gone.length > 0 ? 8 * 2 ** 30 : node.memoryBytes,
    })),
  });
  // Kernels of the model have memory of their own, as those beside the host's have.
  const test = await startDaemon({ host: { ...HOST, readTopology } });
  const { client } = test;
  await client.apply(STACK);
  const { partitions } = await client.pool();
  gone = partitions.web!.cpus;
  expect(gone).toHaveLength(2);
  const before = await client.plan(STACK);
  expect([before.refused, before.steps, before.kernels.map(({ action }) => action)]).toEqual([[], [], ['keep']]);
  await test.crashAndRestart();
  await eventually(async () => (await client.inspect('web')).state === 'running');
  const after = await client.plan(STACK);
  expect([after.refused, after.steps, after.kernels.map(({ action }) => action)]).toEqual([[], [], ['keep']]);
  const more = { cpus: [1], sharedCpus: [], memory: { kind: 'size', bytes: 2 ** 20 } as const, devices: [] };
  const grown = await client.growPool(more);
  expect([grown.pool.cpus, grown.housekeepingCpus]).toEqual([[1, 2, 3, 4, 5, 6, 7], [0]]);
  expect((await client.pool()).partitions).toEqual(partitions);
  // Once it is gone, what is not there is not there.
  await client.destroy('shop');
  expect((await client.topology()).cpus.map(({ id }) => id)).not.toContain(gone[0]);
});

/** CPUs by the names that firmware has for them, beside the host kernel's numbers, wherever those are shown (of snapshots: src/topology/read.test.ts). */
import { expect, it } from 'vitest';
import { poolText } from '../../src/cli/pool/text.ts';
import { topologyText } from '../../src/cli/topology/text.ts';
import { parseCpuinfo } from '../../src/driver/multikernel/cpus.ts';
import { HOST, startDaemon } from '../support/harness.ts';
import { KernelModel } from '../support/multikernel/model.ts';
import { AS_READ, MACHINE } from '../support/multikernel/switches.ts';
import { cpuinfo } from '../support/multikernel/trees.ts';

/** As the model of a multikernel host says it: logical numbers and APIC ids run differently. */
const APIC = new Map(parseCpuinfo(cpuinfo(new KernelModel(MACHINE, AS_READ))));

it('in topology, pool and inspect, on the machine that the multikernel model is', async () => {
  const plain = HOST.readTopology();
  const topology = { ...plain, cpus: plain.cpus.map((cpu) => ({ ...cpu, apicId: APIC.get(cpu.id)! })) };
  const { client, create } = await startDaemon({ host: { ...HOST, readTopology: () => topology } });
  await client.initPool({ cpus: [2, 3, 4, 5, 6, 7], sharedCpus: [7], memory: { kind: 'share' }, devices: [] });
  const memory = { kind: 'size', bytes: 128 * 2 ** 20, node: null, hugePageBytes: null } as const;
  const command = ['sleep', 'inf'];
  await create({ name: 'own', command, partition: { cpus: { kind: 'exact', cpus: [4, 5] }, memory, devices: [] } });
  const shared = { kind: 'shared', milliCpus: 500, weight: 100 } as const;
  await create({ name: 'part', command, partition: { cpus: shared, memory, devices: [] } });
  await create({ name: 'plain', command });
  const ids = (...cpus: number[]) => cpus.map((id) => ({ id, apicId: APIC.get(id)! }));
  expect([APIC.get(4), APIC.get(5)]).toEqual([8, 10]);
  expect((await client.inspect('own')).apicIds).toEqual(ids(4, 5));
  expect((await client.inspect('part')).apicIds).toEqual(ids(7));
  expect((await client.inspect('plain')).apicIds).toEqual([]);
  const report = await client.pool();
  expect(report.apicIds).toEqual(ids(2, 3, 4, 5, 6, 7));
  expect(poolText(report)).toContain('2-7=4-14/2');
  const seen = await client.topology();
  expect(seen.cpus.map(({ apicId }) => apicId)).toEqual(topology.cpus.map(({ apicId }) => apicId));
  expect(topologyText(seen)).toContain('APIC ids: 0-7=0-14/2');
});

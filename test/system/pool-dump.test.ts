/** What `pk pool dump` writes makes the same pool and the same instances elsewhere; through whole daemons, on the fake driver. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { instanceDts, poolDts } from '../../src/cli/pool/dump-dts.ts';
import { stackText } from '../../src/cli/pool/dump-text.ts';
import { encode, parseDts, printDts } from '../../src/devicetree/index.ts';
import { baselineTree, validateMultikernel } from '../../src/devicetree/multikernel/index.ts';
import type { PoolReport } from '../../src/pool/contract.ts';
import type { StackSource } from '../../src/stack/contract.ts';
import type { Topology } from '../../src/topology/topology.ts';
import { startDaemon, type TestDaemon } from '../support/harness.ts';
import { Sandbox } from '../support/pk.ts';

const stack = (text: string): StackSource => ({ text, file: 'dump.yaml', directory: '/', defaultName: 'dump' });

const MACHINE = `
pool: {cpus: 2-7, shared: 7, memory: 2GiB}
kernels:
  web:
    driver: fake
    command: [sleep, inf]
    partition: {cpus: {count: 2, smt: any}, memory: 512MiB}
    environment: {MODE: "a$$b", TEXT: "line\\n'quoted'"}
    labels: {team: shop}
    healthcheck: {command: "true", interval: 5s}
    append: loglevel=7
    stopGrace: 1m30s
  job: {driver: fake, command: [sleep, inf], partition: {cpus: {shared: 0.5, weight: 200}, memory: 128MiB}}
  plain: {driver: fake, command: [sleep, inf], memory: 300MiB, hostname: other, user: "1000:100", cwd: /tmp}
`;

async function dumpOf({ client }: TestDaemon): Promise<string> {
  const { pool } = await client.pool();
  const names = (await client.list()).map(({ spec }) => spec.name);
  return stackText('shop', pool, await Promise.all(names.map((name) => client.inspect(name))));
}

it('a machine that was dumped and applied is the same, and dumps the same', async () => {
  const first = await startDaemon();
  await first.client.apply(stack(MACHINE));
  const dump = await dumpOf(first);
  const second = await startDaemon();
  await second.client.apply(stack(dump));
  expect((await second.client.pool()).pool).toEqual((await first.client.pool()).pool);
  expect((await second.client.pool()).partitions).toEqual((await first.client.pool()).partitions);
  for (const name of ['web', 'job', 'plain']) {
    const [before, after] = await Promise.all([first.client.inspect(name), second.client.inspect(name)]);
    const { stack: _, partition: __, ...spec } = before.spec;
    expect(after.spec).toMatchObject(spec);
  }
  expect(await dumpOf(second)).toBe(dump);
  expect((await second.client.plan(stack(dump))).steps).toEqual([]);
});

const report = (more: Partial<PoolReport> = {}): PoolReport => ({
  pool: { cpus: [2, 3], sharedCpus: [], memory: [{ node: 0, bytes: 2 ** 30 }], devices: ['0000:3b:00.0'] },
  partitions: {
    web: { cpus: [3], shared: null, memory: [{ node: 0, bytes: 2 ** 29 }], hugePageBytes: null, devices: [] },
  },
  free: { cpus: [2], shared: [], memory: [], devices: [] },
  housekeepingCpus: [0, 1],
  apicIds: [
    { id: 2, apicId: 4 },
    { id: 3, apicId: 6 },
  ],
  ...{ enforced: [], notes: [], ...more },
});
const pci = [{ address: '0000:3b:00.0', vendor: 0x8086, device: 0x1572 }] as never;

it('as a device tree it is what a kernel that parts its machine takes, CPUs by their physical ids', () => {
  const text = poolDts(report(), { pci });
  const { what, findings } = validateMultikernel(parseDts(text));
  expect([what, findings]).toEqual(['baseline', []]);
  expect(text).toMatch(/cpus = <0x0+ 0x0*4 0x0+ 0x0*6>|cpus = .*4.*6/);
  const overlay = instanceDts(report(), 'web');
  expect(validateMultikernel(parseDts(overlay))).toEqual({ what: 'overlay', findings: [] });
  expect(() => poolDts(report({ apicIds: [] }), { pci })).toThrow(expect.objectContaining({ code: 'unsupported' }));
  expect(() => instanceDts(report(), 'nobody')).toThrow(expect.objectContaining({ code: 'not-found' }));
});

// CPUs of other machines have no APIC ids.
it.skipIf(process.arch !== 'x64')(
  'such a tree is applied as a source and as a blob, and is none of what a stack has',
  async () => {
    await using test = await Sandbox.create();
    const { cpus } = await test.json<Topology>('topology');
    const { apicId, node } = cpus.at(-1)!;
    const tree = baselineTree({ cpus: [apicId!], memory: [{ bytes: 2 ** 28, node: node ?? 0 }] });
    const at = (name: string) => join(test.home, name);
    writeFileSync(at('pool.dts'), printDts(tree));
    writeFileSync(at('pool.dtb'), encode(tree));
    writeFileSync(at('cut.dtb'), encode(tree).subarray(0, 60));
    const [source, blob] = await Promise.all(
      ['pool.dts', 'pool.dtb'].map((name) => test.json<object>('plan', '--input', at(name))),
    );
    expect(source).toMatchObject({ stack: 'pool-of-device-tree' });
    expect(blob).toEqual(source);
    const cut = await test.pk(['plan', '--input', at('cut.dtb')]);
    expect([cut.code, cut.stderr]).toEqual([2, expect.stringMatching(/cut\.dtb: device-tree blob, offset 0x4/)]);
    const both = await test.pk(['plan', '--input', at('pool.dts'), '--file', at('pool.dtb')]);
    expect([both.code, both.stderr]).toEqual([2, expect.stringContaining('give one of them')]);
  },
);

/** Kernels sit where the ledger says, wherever the daemon ended that changed it: on the fake driver, which keeps what each was told. */
import { expect, it, vi } from 'vitest';
import { type StepRecord, stepTable } from '../../src/core/step-journal.ts';
import { Store } from '../../src/core/store.ts';
import { type InstanceRecord, instanceTable } from '../../src/instance/contract.ts';
import { assignPool, type PoolStep } from '../../src/pool/stack.ts';
import type { StackSource } from '../../src/stack/contract.ts';
import { layout } from '../../src/sys/paths.ts';
import { eventually, startDaemon, type TestDaemon, untilState } from '../support/harness.ts';

const stack = (web: number, db: number): StackSource => ({
  text: `
pool: {cpus: 2-5, memory: 2GiB}
kernels:
  web: {driver: fake, command: [sleep, inf], partition: {cpus: "${web}", memory: 512MiB}}
  db: {driver: fake, command: [sleep, inf], partition: {cpus: "${db}", memory: 256MiB}}
  free: {driver: fake, command: [sleep, inf]}
`,
  file: 'test.yaml',
  directory: '/tmp',
  defaultName: 'shop',
});

/** Each kernel's CPUs, as it was told them and as the ledger has them; what owns none is where the pool is not. */
async function agreed({ client }: TestDaemon): Promise<Record<string, readonly number[]>> {
  const { partitions, housekeepingCpus } = await client.pool();
  const all: Record<string, readonly number[]> = {};
  for (const { spec } of await client.list()) {
    const { real } = await client.inspect(spec.name);
    const own = partitions[spec.name]?.cpus ?? housekeepingCpus;
    expect([spec.name, real!.vcpus, real!.others]).toEqual([spec.name, [own], housekeepingCpus]);
    all[spec.name] = own;
  }
  return all;
}

/** Once what was cut off is taken up: a plan waits for that, and this one is refused then. */
async function takenUp(test: TestDaemon): Promise<void> {
  const impossible = { ...stack(2, 3), text: stack(2, 3).text.replace('"2"', '1000') };
  await expect(test.client.apply(impossible)).rejects.toMatchObject({
    message: expect.stringContaining('nothing was done'),
  });
  for (const name of ['web', 'db', 'free']) await untilState(test, name, 'running');
}

it('kernels that exchange their CPUs sit where the ledger says, whatever step the daemon is killed in', async () => {
  for (let at = 1; ; at++) {
    const test = await startDaemon();
    await test.client.apply(stack(2, 3));
    let crash: Promise<void> | undefined;
    const applying = test.client.apply(stack(3, 2), (text) => {
      if (text.startsWith(`[${at}/`)) crash = test.crashAndRestart();
    });
    await applying.catch(() => {});
    if (crash === undefined) break;
    await crash;
    await takenUp(test);
    const { web, db } = await agreed(test);
    expect([web, db]).toEqual(web![0] === 2 ? [[2], [3]] : [[3], [2]]);
  }
});

/** As a daemon leaves it that is killed once `change` is recorded, before it has told a kernel; with the step it was in. */
async function killedAfter(
  test: TestDaemon,
  change: (record: InstanceRecord) => InstanceRecord,
  step: PoolStep | undefined,
  onFailure: StepRecord['onFailure'] = 'keep',
): Promise<void> {
  await test.daemon.drop();
  const store = Store.open(layout(test.home));
  const records = store.table(instanceTable);
  for (const record of records.all((id) => expect.unreachable(`${id} cannot be read`))) records.put(change(record));
  const begun = { id: 'b.1', batch: 'b', number: 1, state: 'begun', onFailure } as const;
  if (step !== undefined) store.table(stepTable).change([{ ...begun, step }]);
  store.close(false);
  await test.crashAndRestart();
}

const placed = (record: InstanceRecord, cpu: number): InstanceRecord => {
  const placement = record.placement!;
  return {
    ...record,
    placement: { ...placement, vcpuCpus: [cpu], partition: { ...placement.partition, cpus: [cpu] } },
  };
};

it.each(['keep', 'undo'] as const)(
  'a kernel whose new CPU was recorded and which was not moved is moved, or its old one is given back (%s)',
  async (onFailure) => {
    const test = await startDaemon();
    await test.client.apply(stack(2, 3));
    const web = test.daemon.supervisor.get('web').record;
    const changed = placed(web, 4);
    const of = ({ spec, placement, definition }: InstanceRecord) => ({ name: 'web', spec, placement, definition });
    const { pool } = await test.client.pool();
    const step = assignPool({ pool: null, kernels: [of(changed)] }, { pool, kernels: [of(web)] }, 'record web: CPU 4');
    await killedAfter(test, (record) => (record.spec.name === 'web' ? placed(record, 4) : record), step, onFailure);
    await takenUp(test);
    expect((await agreed(test)).web).toEqual(onFailure === 'keep' ? [4] : [2]);
  },
);

it('taking a step back that was cut off while it was taken back ends where it began', async () => {
  const test = await startDaemon();
  await test.client.apply(stack(2, 3));
  const web = test.daemon.supervisor.get('web').record;
  const of = ({ spec, placement, definition }: InstanceRecord) => ({ name: 'web', spec, placement, definition });
  const { pool } = await test.client.pool();
  const kernels = { before: [of(placed(web, 4))], after: [of(web)] };
  // The record is as before again, the kernel where the step had moved it.
  const step = assignPool(
    { pool: null, kernels: kernels.before },
    { pool, kernels: kernels.after },
    'record web: CPU 4',
  );
  const { supervisor } = test.daemon;
  await supervisor.update(new Map([['web', { placement: placed(web, 4).placement }]]), null);
  await supervisor.repin('web');
  await killedAfter(test, (record) => (record.spec.name === 'web' ? placed(record, 2) : record), step, 'undo');
  await takenUp(test);
  expect((await agreed(test)).web).toEqual([2]);
});

it('a kernel that comes up after its CPU became another one is moved there', async () => {
  const test = await startDaemon();
  await test.client.apply(stack(2, 3));
  const { supervisor } = test.daemon;
  await test.client.stop('web', {});
  const web = supervisor.get('web');
  web.begin();
  // Its start was prepared with the CPU it had.
  await eventually(() => web.record.launch?.placement !== undefined && web.state === 'starting');
  await supervisor.update(new Map([['web', { placement: placed(web.record, 4).placement }]]), null);
  await untilState(test, 'web', 'running');
  await eventually(async () => (await test.client.inspect('web')).real!.vcpus[0]![0] === 4);
  expect((await agreed(test)).web).toEqual([4]);
});

it('a guest that does not become as large as its record holds up nobody who asks where kernels sit', async () => {
  const test = await startDaemon();
  await test.client.apply(stack(2, 3));
  const { supervisor } = test.daemon;
  await test.client.stop('web', {});
  const asked = vi.spyOn(supervisor.get('web'), 'takeSize').mockReturnValue(new Promise(() => {}));
  await test.client.start('web');
  await eventually(() => asked.mock.calls.length === 1);
  expect(await supervisor.areInPlace()).toBe(true);
});

it('kernels that own nothing leave the CPUs of a pool that was recorded, and not enforced, when the daemon was killed', async () => {
  const test = await startDaemon();
  await test.client.apply(stack(2, 3));
  const free = test.daemon.supervisor.get('free');
  // As before the pool was made.
  await free.repin([0, 1, 2, 3, 4, 5, 6, 7]);
  await test.crashAndRestart();
  expect((await agreed(test)).free).toEqual([0, 1, 6, 7]);
});

/**
 * Dense SR-IOV on an emulated host: eight NVMe controllers of 127 virtual functions each are enabled, listed, leased, released and
 * disabled by the product, with its figures; `npm run test:sriov`, within ten minutes. It is no part of `npm test`, which does the same
 * with six (test/kernel/sriov.test.ts).
 */
import assert from 'node:assert/strict';
import { functionsOn } from '../test/support/sriov-functions.ts';
import { emulatedHost } from '../test/support/sriov-host.ts';

const CARDS = 8;
const VIRTUAL = 127;
const DEADLINE_MS = 600_000;
/** Leased at once, so that as many resets run side by side. */
const LEASES = 64;

const deadline = setTimeout(() => {
  console.error(`not done within ${DEADLINE_MS / 60_000} minutes`);
  process.exit(1);
}, DEADLINE_MS);
const host = await emulatedHost({ cards: CARDS, virtual: VIRTUAL, memoryMib: 2048 }, DEADLINE_MS);
try {
  await all();
} finally {
  await host.end();
  clearTimeout(deadline);
}

async function timed<T>(what: string, work: () => Promise<T>): Promise<T> {
  const from = performance.now();
  const result = await work();
  console.log(`${((performance.now() - from) / 1000).toFixed(2).padStart(8)} s  ${what}`);
  return result;
}

async function all(): Promise<void> {
  const functions = functionsOn(host.sysfs, { change: DEADLINE_MS, links: DEADLINE_MS });
  const { physical } = await timed('list before', () => functions.list());
  assert.equal(physical.length, CARDS);
  const bare = `bus/pci/devices/${physical[0]!.address}`;
  await host.sysfs.write(`${bare}/sriov_drivers_autoprobe`, '0');
  await timed(`a bare write of ${VIRTUAL} to sriov_numvfs`, () =>
    host.sysfs.write(`${bare}/sriov_numvfs`, `${VIRTUAL}`),
  );
  await timed('a bare write of 0', () => host.sysfs.write(`${bare}/sriov_numvfs`, '0'));
  for (const { address } of physical) {
    const report = await timed(`enable ${VIRTUAL} on ${address}`, () => functions.set(VIRTUAL, address));
    assert.deepEqual(report, { address, before: 0, now: VIRTUAL, notes: [] });
  }
  const listed = await timed(`list ${CARDS * VIRTUAL} virtual functions`, () => functions.list());
  const virtual = listed.physical.flatMap((each) => each.virtual);
  assert.equal(new Set(virtual.map(({ address }) => address)).size, CARDS * VIRTUAL);
  assert.equal(new Set(virtual.map(({ iommuGroup }) => iommuGroup)).size, CARDS * VIRTUAL);
  const leases = await timed(`lease ${LEASES}, one after the other`, async () => {
    const taken = [];
    for (let count = 0; count < LEASES; count++) taken.push(await functions.assign('vf:nvme', 'web'));
    return taken;
  });
  assert.equal(new Set(leases.map(({ address }) => address)).size, LEASES);
  const last = leases.at(-1)!;
  const group = virtual.find(({ address }) => address === last.address)!.iommuGroup;
  const said = await timed('identify through VFIO', () => host.run('pk-vfio-nvme', String(group), last.address));
  assert.match(said, /identify controller=\d+ serial=PK\d/);
  await timed(`release ${LEASES}, each reset`, () => functions.removed('web'));
  for (const { address } of physical) await timed(`disable ${address}`, () => functions.set(0, address));
  const left = await functions.list();
  assert.deepEqual([left.leases, left.physical.flatMap((each) => each.virtual)], [[], []]);
  await functions.end();
}

/** Leasing virtual functions of a real kernel on an emulated machine with an IOMMU: made, used by their owner, reset, taken away. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { nativeProgram } from '../support/native.ts';
import { functionsOn } from '../support/sriov-functions.ts';
import { type EmulatedHost, emulatedHost } from '../support/sriov-host.ts';

const PF = '0000:01:00.0';
let host: EmulatedHost;
beforeAll(async () => {
  for (const name of ['pk-init', 'pk-sysfs', 'pk-vfio-nvme'] as const) await nativeProgram(name);
  host = await emulatedHost({ cards: 1, virtual: 6 });
});
afterAll(() => host?.end());

it('virtual functions answer their owners, one after the other, and know nothing of the last', async () => {
  const functions = functionsOn(host.sysfs);
  expect(await functions.set(4, PF)).toEqual({ address: PF, before: 0, now: 4, notes: [] });
  // The kernel's own order: none to another number but through zero, which the product knows and a bare write does not.
  await expect(host.sysfs.write(`bus/pci/devices/${PF}/sriov_numvfs`, '6')).rejects.toMatchObject({ code: 'EBUSY' });
  await expect(functions.set(7, PF)).rejects.toMatchObject({ code: 'invalid' });
  await functions.set(6, PF);

  const lease = await functions.assign('vf:nvme', 'web');
  const seen = async (address: string) => {
    const { physical } = await functions.list();
    return physical[0]!.virtual.find((each) => each.address === address)!;
  };
  const { iommuGroup, driver } = await seen(lease.address);
  expect(driver).toBe('vfio-pci');
  const identify = () => host.run('pk-vfio-nvme', String(iommuGroup), lease.address);
  expect(await identify()).toMatch(
    /^found cc=0 aqa=0 asq=0 acq=0\nidentify controller=1 serial=PK0 model=QEMU NVMe Ctrl$/m,
  );

  await expect(functions.set(0, PF)).rejects.toMatchObject({
    message: expect.stringContaining(`${lease.address} by web`),
  });
  await expect(functions.assign(lease.address, 'other')).rejects.toMatchObject({ code: 'conflict' });
  await functions.release(lease.address);
  expect(await functions.assign(lease.address, 'other')).toMatchObject({ generation: 2 });
  // Reset: it does not run any more. (Where its queues lay this QEMU forgets with the function alone.)
  expect(await identify()).toMatch(/^found cc=0 /);
  await functions.removed('other');

  expect(await functions.set(0, PF)).toMatchObject({ before: 6, now: 0 });
  expect(await functions.list()).toMatchObject({ physical: [{ wanted: null, virtual: [] }], leases: [] });
  await functions.end();
});

/** Shared memory of a running QEMU: an ivshmem function per region, plugged in and out over the monitor. */
import { forgetRegion, type GuestLink, showRegion } from '../../guest/index.ts';
import { PolykernelError } from '../../sys/errors.ts';
import type { SharedRegion } from '../driver.ts';
import { eventually, pass } from './plug.ts';
import { isRecord, type Qmp } from './qmp.ts';

/** Of the region in slot 0 on the PCI bus; pk-init counts from there too. */
export const FIRST_PCI_SLOT = 0x10;

/** Ids in QEMU; that of the channel makes an earlier region in the same slot another one. */
const deviceId = (id: string) => `channel-${id.slice(0, 16)}`;
const memoryId = (id: string) => `memory-${id.slice(0, 16)}`;

/**
 * Plugs the region in unless it is there, and makes it known in the guest. Rejects with `internal` or `unsupported` (QEMU
 * refuses), `kernel-died`, or the guest's refusal; what was plugged then stays, to be used by the next try.
 */
export async function plugRegion(
  monitor: Qmp,
  directory: string,
  guest: GuestLink,
  region: SharedRegion,
  signal?: AbortSignal,
): Promise<void> {
  const { id, slot, path, bytes } = region;
  if (!(await children(monitor, '/objects')).has(memoryId(id))) {
    await pass(directory, `pass ${path}`, 'shared memory');
    const added = await monitor.execute('add-fd');
    if (!isRecord(added) || !Number.isInteger(added.fd) || !Number.isInteger(added['fdset-id']))
      throw new PolykernelError('protocol', 'QEMU gave no number for a descriptor');
    try {
      const backend = { 'qom-type': 'memory-backend-file', id: memoryId(id), size: bytes, share: true };
      await monitor.execute('object-add', { ...backend, 'mem-path': `/proc/self/fd/${added.fd}` });
    } finally {
      await monitor.execute('remove-fd', { 'fdset-id': added['fdset-id'] });
    }
  }
  if (!(await children(monitor, '/machine/peripheral')).has(deviceId(id))) {
    const addr = `${(FIRST_PCI_SLOT + slot).toString(16)}.0`;
    await monitor.execute('device_add', { driver: 'ivshmem-plain', id: deviceId(id), memdev: memoryId(id), addr });
  }
  const step = showRegion(region, { kind: 'pci', offset: 0 });
  await eventually(() => guest.configure([step], signal), signal);
}

/** Makes the region unknown in the guest and plugs it out if it is there. */
export async function unplugRegion(
  monitor: Qmp,
  guest: GuestLink,
  { id, name }: Pick<SharedRegion, 'id' | 'name'>,
): Promise<void> {
  await guest.configure([forgetRegion(name)]);
  const present = () => children(monitor, '/machine/peripheral');
  if ((await present()).has(deviceId(id))) {
    await monitor.execute('device_del', { id: deviceId(id) });
    await eventually(async () => {
      if ((await present()).has(deviceId(id)))
        throw new PolykernelError('internal', 'the guest does not let go of the PCI function of a channel');
    });
  }
  if (!(await children(monitor, '/objects')).has(memoryId(id))) return;
  await monitor.execute('object-del', { id: memoryId(id) });
}

export async function children(monitor: Qmp, path: string): Promise<Set<string>> {
  const list = await monitor.execute('qom-list', { path });
  const names = Array.isArray(list) ? list.map((entry: unknown) => (isRecord(entry) ? entry.name : undefined)) : [];
  return new Set(names.filter((name) => typeof name === 'string'));
}

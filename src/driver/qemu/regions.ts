/** Shared memory of a running QEMU: an ivshmem function per region, plugged in and out over the monitor. */
import { forgetRegion, type GuestLink, MAX_CHANNELS, showRegion } from '../../guest/index.ts';
import { PolykernelError } from '../../sys/errors.ts';
import type { SharedRegion } from '../driver.ts';
import { eventually, pass } from './plug.ts';
import { isRecord, type Qmp } from './qmp.ts';

/** Of the region in slot 0 on the PCI bus; pk-init counts from there too. */
export const FIRST_PCI_SLOT = 0x10;

/** Ids in QEMU; that of the channel makes an earlier region in the same slot another one. */
const deviceId = (id: string) => `channel-${id.slice(0, 16)}`;
const memoryId = (id: string) => `memory-${id.slice(0, 16)}`;
const MEMORY_ID = /^memory-([0-9a-f]{16})$/;

/**
 * Plugs the region in unless it is there, and makes it known in the guest. Rejects with `internal` or `unsupported` (QEMU
 * refuses), `kernel-died`, or the guest's refusal; a function that was plugged then stays, to be used by the next try.
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
    try {
      await monitor.execute('device_add', { driver: 'ivshmem-plain', id: deviceId(id), memdev: memoryId(id), addr });
    } catch (error) {
      // Its place is another's, of which the guest does not let go.
      await dropUnused(monitor);
      throw error;
    }
  }
  const step = showRegion(region, { kind: 'pci', offset: 0 });
  await eventually(() => guest.configure([step], signal), signal);
}

/** Makes the region unknown in the guest and plugs it out if it is there, whatever the guest says to the first. */
export async function unplugRegion(
  monitor: Qmp,
  guest: GuestLink,
  { id, name }: Pick<SharedRegion, 'id' | 'name'>,
  signal?: AbortSignal,
): Promise<void> {
  const [told] = await Promise.allSettled([guest.configure([forgetRegion(name)])]);
  const present = () => children(monitor, '/machine/peripheral');
  if ((await present()).has(deviceId(id))) {
    await monitor.execute('device_del', { id: deviceId(id) });
    await eventually(async () => {
      if ((await present()).has(deviceId(id)))
        throw new PolykernelError('internal', 'the guest does not let go of the PCI function of a channel');
    }, signal);
  }
  await dropUnused(monitor);
  if (told.status === 'rejected') throw told.reason;
}

/**
 * Has QEMU let go of memory without a function, which nobody else would: of a channel whose function never got a place, or was let go of too
 * late by the guest. Gives whether the function of a channel is there.
 */
export async function dropUnused(monitor: Qmp): Promise<(id: string) => boolean> {
  const devices = await children(monitor, '/machine/peripheral');
  const unused = [...(await children(monitor, '/objects'))].filter((name) => {
    const short = MEMORY_ID.exec(name)?.[1];
    return short !== undefined && !devices.has(deviceId(short));
  });
  for (const id of unused.slice(0, MAX_CHANNELS)) {
    await monitor.execute('object-del', { id }).catch((error: unknown) => {
      // It is tried again with the next one.
      if (!(error instanceof PolykernelError) || error.code !== 'unsupported') throw error;
    });
  }
  return (id) => devices.has(deviceId(id));
}

export async function children(monitor: Qmp, path: string): Promise<Set<string>> {
  const list = await monitor.execute('qom-list', { path });
  const names = Array.isArray(list) ? list.map((entry: unknown) => (isRecord(entry) ? entry.name : undefined)) : [];
  return new Set(names.filter((name) => typeof name === 'string'));
}

/**
 * Memory beside the control line of an emulated guest, which pays for each page that goes through a port as much as for copying it twice.
 * It is an ivshmem function, plugged in when the guest first moves much: before that it costs nothing, and no template knows of it (QEMU
 * reads the state of shared memory only where it has the address that it had). With KVM a port is fast, and the memory of a function is
 * not cached on every processor.
 */
import { type GuestLink, isLineMemory, LineMemory } from '../../guest/index.ts';
import { SharedMemory } from '../../sys/memory.ts';
import { openShimMemory } from '../shim/shim.ts';
import { LINE_MEMORY } from './command.ts';
import { eventually } from './plug.ts';
import type { Qmp } from './qmp.ts';
import { children } from './regions.ts';

/** Of its PCI function, where pk-init looks for it. */
export const LINE_PCI_SLOT = 0x0e;
const DEVICE = 'line';

/** Rejects as what it does; the line then goes on without. Does nothing for a kernel whose shim has no such memory. */
export async function plugLineMemory(
  withMonitor: (use: (monitor: Qmp) => Promise<void>) => Promise<void>,
  directory: string,
  guest: GuestLink,
): Promise<void> {
  const file = SharedMemory.isAvailable() ? openShimMemory(directory, isLineMemory) : undefined;
  if (file === undefined) return;
  const memory = new LineMemory(file);
  guest.share(memory);
  await withMonitor(async (monitor) => {
    if ((await children(monitor, '/machine/peripheral')).has(DEVICE)) return;
    const addr = `${LINE_PCI_SLOT.toString(16)}.0`;
    await monitor.execute('device_add', { driver: 'ivshmem-plain', id: DEVICE, memdev: LINE_MEMORY, addr });
  });
  await eventually(() => guest.beginSharing(memory.slots));
}

/** What a QEMU needs in its jail to give its guest PCI functions of the host. */
import { chown } from 'node:fs/promises';
import { asPolykernelError, PolykernelError } from '../../sys/errors.ts';
import type { LaunchSpec } from '../driver.ts';
import type { Bind } from '../jail/jail.ts';
import { jailFunction } from './command.ts';

/** Besides the guest's memory, all of which is pinned: what QEMU maps for the functions' own use. */
const OTHER_LOCKED_BYTES = 64 * 2 ** 20;

/**
 * VFIO's door, that of each function's group, and what /sys says of the functions. A group's door becomes the kernel's own: nobody
 * else's kernel has its id. Rejects with `unsupported` where the ids of kernels are not theirs alone, and `internal`.
 */
export async function functionParts(
  { devices = [], identity }: Pick<LaunchSpec, 'identity'> & Partial<Pick<LaunchSpec, 'devices'>>,
  memoryBytes: number,
  give: (path: string, uid: number, gid: number) => Promise<void> = chown,
): Promise<{ binds: Bind[]; lockedBytes?: number }> {
  if (devices.length === 0) return { binds: [] };
  if (identity.kind !== 'range')
    throw new PolykernelError('unsupported', 'only the daemon of root gives PCI functions to kernels', {
      field: 'devices',
    });
  const doors = [...new Set(devices.map(({ group }) => `/dev/vfio/${group}`))];
  try {
    for (const door of doors) await give(door, identity.start, identity.start);
  } catch (error) {
    throw asPolykernelError(error, 'opening a function to its kernel');
  }
  const device = (path: string): Bind => ({ source: path, target: path, access: 'device' });
  return {
    binds: [
      ...['/dev/vfio/vfio', ...doors].map(device),
      ...devices.map(
        ({ address }): Bind => ({
          source: `/sys/bus/pci/devices/${address}`,
          target: jailFunction(address),
          access: 'read',
        }),
      ),
    ],
    lockedBytes: memoryBytes + OTHER_LOCKED_BYTES,
  };
}

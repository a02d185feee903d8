/** What QEMU refuses of a kernel, beside what all drivers check alike (../check.ts). */
import { PolykernelError } from '../../sys/errors.ts';
import { formatBytes } from '../../sys/units.ts';
import type { LaunchSpec } from '../driver.ts';
import { tapObstacle } from './checks.ts';

/** @throws PolykernelError `unsupported`, `unavailable` or `invalid`, naming the field */
export function checkQemuLaunch({
  image,
  network,
  placement,
  memoryBytes,
  size: asked,
  devices = [],
}: LaunchSpec): void {
  if (asked?.memoryChanges && devices.length > 0) {
    throw new PolykernelError('unsupported', 'memory cannot be taken from a kernel that PCI functions write to', {
      field: 'elastic.memoryBytes',
      hint: 'Leave the bounds of its memory out, or release its functions.',
    });
  }
  if (asked?.memoryChanges && placement?.hugePageBytes) {
    throw new PolykernelError('unsupported', 'huge pages cannot be taken out of a kernel that runs', {
      field: 'elastic.memoryBytes',
      hint: 'Leave the bounds of its memory out, or the huge pages.',
    });
  }
  if (asked?.memoryChanges && image.modules.balloon === undefined) {
    throw new PolykernelError(
      'unsupported',
      `the image ${image.name} has no module for changing memory (virtio_balloon)`,
      {
        field: 'elastic.memoryBytes',
        value: image.name,
        hint: `Get it anew: pk image pull ${image.name}`,
      },
    );
  }
  const tap = network && tapObstacle();
  // What fails a start is told as one text.
  if (tap) throw new PolykernelError('unavailable', `${tap.reason}. ${tap.hint}`, { field: 'network' });
  if (network && image.modules.network === undefined) {
    throw new PolykernelError(
      'unsupported',
      `the image ${image.name} has no module for the network card (virtio_net)`,
      { field: 'network', value: image.name, hint: `Get it anew: pk image pull ${image.name}` },
    );
  }
  const hugePageBytes = placement?.hugePageBytes ?? null;
  if (hugePageBytes === null || memoryBytes % hugePageBytes === 0) return;
  const size = formatBytes(hugePageBytes);
  throw new PolykernelError('invalid', `${formatBytes(memoryBytes)} are no whole huge pages of ${size}`, {
    field: 'partition.memory',
    value: memoryBytes,
    hint: `Ask for a multiple of ${size}.`,
  });
}

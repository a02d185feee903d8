/**
 * The tree by which a kernel without a pool is told what to give up. The rules are those of kernel/multikernel/baseline.c of the
 * multikernel patches, in both formats: that of August 2026 and later, and the one before (`first`).
 */
import type { DeviceTree } from '../tree.ts';
import { functionNodeName, node, text, u32, u64 } from './cells.ts';
import type { Baseline, MemoryRange, PoolDevice } from './values.ts';

const tree = (root: DeviceTree['root']): DeviceTree => ({ reservations: [], bootCpu: 0, root });

export function baselineTree({ cpus, memory, devices = [] }: Baseline): DeviceTree {
  const aliases = devices.flatMap((device) =>
    device.alias === undefined ? [] : [text(device.alias, `/resources/devices/${deviceName(device)}`)],
  );
  return tree(
    node(
      '',
      [text('compatible', 'multikernel-v1')],
      [
        node(
          'resources',
          [u64('cpus', ...cpus)],
          [
            ...memory.map(({ bytes, node: at }, index) =>
              node(`memory@${index}`, [u64('size', bytes), at === undefined ? undefined : u32('numa-node-id', at)]),
            ),
            devices.length === 0 ? undefined : node('devices', [], devices.map(deviceNode)),
          ],
        ),
        aliases.length === 0 ? undefined : node('aliases', aliases),
      ],
    ),
  );
}

/** For kernels before August 2026: one range, which was allocated beforehand. */
export function firstBaselineTree({ cpus, devices = [] }: Baseline, { base, bytes }: MemoryRange): DeviceTree {
  return tree(
    node(
      '',
      [text('compatible', 'linux,multikernel-host')],
      [
        node(
          'resources',
          [u64('cpus', ...cpus), u64('memory-base', base), u64('memory-bytes', bytes)],
          [devices.length === 0 ? undefined : node('devices', [], devices.map(deviceNode))],
        ),
      ],
    ),
  );
}

const deviceName = (device: PoolDevice): string =>
  device.kind === 'pci' ? functionNodeName(device.address) : device.name;

function deviceNode(device: PoolDevice) {
  if (device.kind === 'platform')
    return node(device.name, [text('device-type', 'platform'), text('device-name', device.name)]);
  return node(deviceName(device), [
    text('device-type', 'pci'),
    text('pci-id', device.address),
    u32('vendor-id', device.vendor),
    u32('device-id', device.device),
  ]);
}

/** Overlays for kernels before August 2026, as their control programs wrote them: no targets, and memory by its place. */
import type { DeviceNode, DeviceTree } from '../tree.ts';
import { node, text, u32, u64 } from './cells.ts';
import type { InstanceChange, InstanceCreation, InstanceRemoval } from './values.ts';

/** What one such transaction does. A creation says where its memory is to be. */
export type FirstChange =
  | (InstanceCreation & { readonly memoryBase: number; readonly deviceNames?: readonly string[] })
  | InstanceRemoval
  | InstanceChange;

export function firstOverlayTree(change: FirstChange): DeviceTree {
  const body = node('__overlay__', [], operations(change));
  return {
    reservations: [],
    bootCpu: 0,
    root: node('', [text('compatible', 'linux,multikernel-overlay')], [node('fragment@0', [], [body])]),
  };
}

function operations(change: FirstChange): (DeviceNode | undefined)[] {
  if (change.target === 'remove') return [node('instance-remove', [text('instance-name', change.name)])];
  if (change.target === 'create') {
    const { name, id, cpus, memoryBase, memoryBytes, deviceNames = [] } = change;
    const names = deviceNames.join('\0');
    const resources = node('resources', [
      u64('cpus', ...cpus),
      u64('memory-base', memoryBase),
      u64('memory-bytes', memoryBytes),
      names === '' ? undefined : text('device-names', names),
    ]);
    return [
      node('instance-create', [text('instance-name', name), id === undefined ? undefined : u32('id', id)], [resources]),
    ];
  }
  const of = <Item>(
    name: string,
    items: readonly Item[] | undefined,
    item: (each: Item, index: number) => DeviceNode,
  ) =>
    items === undefined || items.length === 0
      ? undefined
      : node(name, [text('mk,instance', change.name)], items.map(item));
  const region = ({ base, bytes }: { base: number; bytes: number }, index: number) =>
    node(`region@${index}`, [u64('reg', base, bytes)]);
  const cpu = (id: number) => node(`cpu@${id}`, [u64('reg', id)]);
  const pci = (address: string, index: number) => node(`pci@${index}`, [text('pci-id', address)]);
  return [
    of('memory-remove', change.removeMemory, region),
    of('memory-add', change.addMemory, region),
    of('cpu-remove', change.removeCpus, cpu),
    of('cpu-add', change.addCpus, cpu),
    of('device-remove', change.removeDevices, pci),
    of(
      'device-add',
      change.addDevices?.map(({ address }) => address),
      pci,
    ),
  ];
}

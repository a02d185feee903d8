/**
 * Changes as the overlays that a kernel takes (kernel/multikernel/overlay.c and Documentation/multikernel/overlays.rst of the
 * multikernel patches). Each write of an overlay is one transaction, and more than a page of it does not arrive: `overlays` makes as
 * many as it takes. A transaction that fails stays done as far as it got, so that who writes several loses nothing by that.
 */
import { PolykernelError } from '../../sys/errors.ts';
import { encode } from '../blob/encode.ts';
import type { DeviceNode, DeviceTree } from '../tree.ts';
import { node, text, u32, u64 } from './cells.ts';
import { type Change, INSTANCE_NAME, type InstanceChange, type InstanceCreation, type PoolChange } from './values.ts';

/** What one write hands over: the kernel cuts it at a page. */
export const OVERLAY_BYTES = 4096;
/** CPUs that a creation names itself; the rest are given to the instance afterwards. */
const CPUS_OF_CREATION = 256;
/** Items of one fragment where it has to be split: of these a blob has room for some hundred. */
const ITEMS = 48;

/** The blobs for `changes`, in their order, each at most OVERLAY_BYTES. Throws `invalid` for names that no instance can have. */
export function overlays(changes: readonly Change[]): Uint8Array<ArrayBuffer>[] {
  const whole = blob(changes);
  if (whole.length <= OVERLAY_BYTES) return [whole];
  const most = OVERLAY_BYTES - blob([]).length - NAMES_BYTES;
  const blobs: Uint8Array<ArrayBuffer>[] = [];
  let open: Change[] = [];
  let bytes = 0;
  for (const part of changes.flatMap(parts)) {
    // What it takes beside others, which have the same names.
    const more = blob([part, part]).length - blob([part]).length;
    if (open.length > 0 && bytes + more > most) {
      blobs.push(blob(open));
      open = [];
      bytes = 0;
    }
    open.push(part);
    bytes += more;
  }
  return [...blobs, blob(open)];
}

/** All names of properties together, each of which a blob has once. */
const NAMES_BYTES = 128;

const blob = (changes: readonly Change[]): Uint8Array<ArrayBuffer> => encode(overlayTree(changes));

/** All of them as one transaction, however long. Fragments have hexadecimal numbers, and are done by these. */
function overlayTree(changes: readonly Change[]): DeviceTree {
  const fragments = changes.map((change, index) =>
    node(
      `fragment@${index.toString(16)}`,
      [text('target-path', targetOf(change))],
      [node('__overlay__', [], operations(change))],
    ),
  );
  return {
    reservations: [],
    bootCpu: 0,
    root: node('', [text('compatible', 'linux,multikernel-overlay')], fragments),
  };
}

function targetOf(change: Change): string {
  if (change.target === 'pool') return '/resources';
  checkName(change.name);
  return change.target === 'instance' ? `/instances/${change.name}` : '/instances';
}

function checkName(name: string): void {
  if (INSTANCE_NAME.test(name)) return;
  throw new PolykernelError('invalid', `an instance cannot be called ${JSON.stringify(name)}`, {
    field: 'name',
    value: name,
    hint: 'Letters, digits, dots, underscores and hyphens, at most 63.',
  });
}

/** In the order in which the kernel does those of one fragment. */
function operations(change: Change): (DeviceNode | undefined)[] {
  switch (change.target) {
    case 'create':
      return [creation(change)];
    case 'remove':
      return [node('instance-remove', [text('instance-name', change.name)])];
    case 'instance':
    case 'pool':
      return [
        operation('cpu-remove', change.removeCpus, cpuItem),
        operation('memory-remove', change.removeMemory, ({ base, bytes }, index) =>
          node(`memory@${index}`, [u64('reg', base, bytes)]),
        ),
        change.target === 'pool'
          ? operation('memory-add', change.addMemory, ({ bytes, node: at }, index) =>
              node(`memory@${index}`, [u64('size', bytes), at === undefined ? undefined : u32('numa-node-id', at)]),
            )
          : operation('memory-add', change.addMemory, ({ base, bytes, node: at }, index) =>
              node(`memory@${index}`, [
                u64('reg', base, bytes),
                at === undefined ? undefined : u32('numa-node-id', at),
              ]),
            ),
        operation('cpu-add', change.addCpus, cpuItem),
        operation('device-remove', change.removeDevices, (address, index) =>
          node(`pci@${index.toString(16)}`, [text('pci-id', address)]),
        ),
        operation('device-add', change.addDevices as readonly DeviceAddition[] | undefined, (device, index) =>
          node(`pci@${index.toString(16)}`, [
            text('pci-id', device.address),
            device.alias === undefined ? undefined : text('alias', device.alias),
            device.driver === undefined ? undefined : text('driver', device.driver),
          ]),
        ),
      ];
  }
}

interface DeviceAddition {
  address: string;
  alias?: string;
  driver?: string;
}

const cpuItem = (cpu: number): DeviceNode => node(`cpu@${cpu.toString(16)}`, [u64('reg', cpu)]);

const operation = <Item>(
  name: string,
  items: readonly Item[] | undefined,
  item: (each: Item, index: number) => DeviceNode,
) => (items === undefined || items.length === 0 ? undefined : node(name, [], items.map(item)));

function creation({ name, id, cpus, memoryBytes, node: at }: InstanceCreation): DeviceNode {
  return node(
    'instance-create',
    [text('instance-name', name), id === undefined ? undefined : u32('id', id)],
    [
      node('resources', [
        cpus.length === 0 ? undefined : u64('cpus', ...cpus),
        memoryBytes === 0 ? undefined : u64('memory-bytes', memoryBytes),
        at === undefined ? undefined : u32('numa-nodes', at),
      ]),
    ],
  );
}

/** The same change in pieces, of which each has room in a blob. */
function parts(change: Change): Change[] {
  if (change.target === 'remove') return [change];
  if (change.target === 'create') {
    const { name, cpus } = change;
    const later = slices(cpus.slice(CPUS_OF_CREATION));
    return [
      { ...change, cpus: cpus.slice(0, CPUS_OF_CREATION) },
      ...later.map((addCpus): InstanceChange => ({ target: 'instance', name, addCpus })),
    ];
  }
  const { target } = change;
  const only = target === 'pool' ? { target } : { target, name: change.name };
  return (['removeCpus', 'removeMemory', 'removeDevices', 'addMemory', 'addCpus', 'addDevices'] as const).flatMap(
    (key) =>
      slices<unknown>(change[key] ?? []).map((items) => ({ ...only, [key]: items }) as PoolChange | InstanceChange),
  );
}

const slices = <Item>(items: readonly Item[]): Item[][] =>
  Array.from({ length: Math.ceil(items.length / ITEMS) }, (_, index) =>
    items.slice(index * ITEMS, (index + 1) * ITEMS),
  );

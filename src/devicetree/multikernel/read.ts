/**
 * What a kernel says of its pool and its instances, out of the trees that it makes of them (kernel/multikernel/dts.c of the
 * multikernel patches). Nothing is taken for granted: what is not there, or of another form, reads as absent.
 */
import { PolykernelError } from '../../sys/errors.ts';
import type { DeviceNode, DeviceTree } from '../tree.ts';
import { cellOf, childOf, numberOf, numbersOf, wordOf } from './cells.ts';
import type { Baseline, InstanceState, MemoryRange, PoolDevice, PoolState, SeenFunction } from './values.ts';

/**
 * Which format a kernel speaks, as its own tree tells: `second`, from August 2026 on, names the cells of its root. Whether earlier ones
 * did is not known; one that does not is taken for `first`.
 */
export const formatOf = ({ root }: DeviceTree): 'first' | 'second' =>
  cellOf(root, '#address-cells') === 2 ? 'second' : 'first';

/** What baselineTree() has written; undefined for a tree that is none. Devices of other kinds than PCI functions are left out. */
export function readBaseline({ root }: DeviceTree): Baseline | undefined {
  const resources = childOf(root, 'resources');
  const cpus = resources && numbersOf(resources, 'cpus');
  const memory = (resources?.children ?? [])
    .filter(({ name }) => name.startsWith('memory@'))
    .flatMap((each) => {
      const bytes = numberOf(each, 'size');
      return bytes === undefined ? [] : [{ bytes, node: cellOf(each, 'numa-node-id') }];
    });
  if (cpus === undefined || cpus.length === 0 || memory.length === 0) return undefined;
  const devices = (childOf(resources, 'devices')?.children ?? []).flatMap((each): PoolDevice[] => {
    const [address, vendor, device] = [wordOf(each, 'pci-id'), cellOf(each, 'vendor-id'), cellOf(each, 'device-id')];
    if (address === undefined || vendor === undefined || device === undefined) return [];
    return [{ kind: 'pci', address, vendor, device }];
  });
  return { cpus, memory, devices };
}

/** A kernel without a pool names its own CPUs in the same place: only what a pool alone has shows that there is one. */
export function readPool({ root }: DeviceTree): PoolState {
  const resources = childOf(root, 'resources');
  const chunks = (resources?.children ?? []).filter(({ name }) => name.startsWith('memory@')).map(chunkOf);
  const freeCpus = resources && numbersOf(resources, 'cpus-available');
  const functions = functionsOf(root);
  const platformDevices = childOf(resources, 'devices')?.children.map(({ name }) => name) ?? [];
  return {
    exists: freeCpus !== undefined || chunks.length > 0 || functions.length > 0 || platformDevices.length > 0,
    cpus: (resources && numbersOf(resources, 'cpus')) ?? [],
    freeCpus: freeCpus ?? [],
    chunks,
    functions,
    platformDevices,
  };
}

/** Throws `internal` for a tree that is no instance's. */
export function readInstance({ root }: DeviceTree): InstanceState {
  const resources = childOf(root, 'resources');
  const [name, id] = [wordOf(root, 'model'), cellOf(root, 'id')];
  if (resources === undefined || name === undefined || id === undefined)
    throw new PolykernelError('internal', 'the tree of an instance lacks its name, its id or its resources');
  return {
    name,
    id,
    cpus: numbersOf(resources, 'cpus') ?? [],
    memoryBase: numberOf(resources, 'memory-base') ?? 0,
    memoryBytes: numberOf(resources, 'memory-bytes') ?? 0,
    functions: functionsOf(root),
    platformDevices: childOf(resources, 'devices')?.children.map((device) => device.name) ?? [],
  };
}

function chunkOf(chunk: DeviceNode): MemoryRange {
  const [base, bytes] = numbersOf(chunk, 'reg') ?? [];
  if (base === undefined || bytes === undefined)
    throw new PolykernelError('internal', `the tree of the pool has ${chunk.name} without its place`);
  return { base, bytes, node: cellOf(chunk, 'numa-node-id') };
}

/** PCI functions of the topology below the root: what has a vendor and a device, at the bus, device and function of `reg`. */
function functionsOf(root: DeviceNode): SeenFunction[] {
  return root.children
    .filter(({ name }) => name.startsWith('pci@'))
    .flatMap((bridge) => leaves(bridge, cellOf(bridge, 'linux,pci-domain') ?? 0));
}

function leaves(at: DeviceNode, domain: number): SeenFunction[] {
  const [vendor, device] = [cellOf(at, 'vendor-id'), cellOf(at, 'device-id')];
  const below = at.children.flatMap((child) => leaves(child, domain));
  if (vendor === undefined || device === undefined) return below;
  const reg = at.properties.find(({ name }) => name === 'reg')?.value;
  if (reg === undefined || reg.length < 4) return below;
  const place = Buffer.from(reg.buffer, reg.byteOffset, reg.byteLength).readUInt32BE();
  return [{ address: addressOf(domain, place), vendor, device }, ...below];
}

function addressOf(domain: number, place: number): string {
  const hex = (value: number, digits: number) => value.toString(16).padStart(digits, '0');
  return `${hex(domain, 4)}:${hex((place >> 16) & 0xff, 2)}:${hex((place >> 11) & 0x1f, 2)}.${(place >> 8) & 7}`;
}

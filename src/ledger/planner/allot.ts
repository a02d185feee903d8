/** Memory and devices for an instance whose CPUs are on given nodes. */

import type { PciFunction } from '../../topology/topology.ts';
import type { DeviceClass, DeviceRequest, MemoryRequest, NodeMemory } from '../types.ts';
import type { Room } from './room.ts';
import { nearest, type Site } from './site.ts';
import { deviceDistance } from './spread.ts';

/** The nodes given first, in that order, then the nearest ones. Null when there is not enough. */
export function allotMemory(room: Room, request: MemoryRequest, nodes: readonly number[]): NodeMemory[] | null {
  const { site } = room;
  const { hugePageBytes } = request;
  const page = hugePageBytes ?? site.topology.pageBytes;
  if (request.kind === 'nodes' || request.node !== null) {
    const asked = request.kind === 'nodes' ? request.memory : [{ node: request.node!, bytes: request.bytes }];
    const fits = asked.every(({ node, bytes }) => {
      const index = site.nodes.indexOf(node);
      return index >= 0 && bytes % page === 0 && bytes <= room.freeBytes(index, hugePageBytes);
    });
    return fits ? [...asked].sort((a, b) => a.node - b.node) : null;
  }
  if (request.bytes % page !== 0) return null;
  const others = site.nodes.map((_, index) => index).filter((index) => !nodes.includes(index));
  others.sort((a, b) => nearest(site, nodes, a) - nearest(site, nodes, b) || a - b);
  const memory: NodeMemory[] = [];
  let missing = request.bytes;
  for (const node of [...nodes, ...others]) {
    const bytes = Math.min(missing, room.freeBytes(node, hugePageBytes));
    if (bytes > 0) memory.push({ node: site.nodes[node]!, bytes });
    missing -= bytes;
    if (missing === 0) return memory.sort((a, b) => a.node - b.node);
  }
  return null;
}

/** Ranges of the 24-bit PCI class code (PCI Code and ID Assignment Specification, 1.). */
const CLASS_RANGES: Record<DeviceClass, readonly (readonly [from: number, to: number])[]> = {
  network: [[0x020000, 0x02ffff]],
  nvme: [[0x010800, 0x0108ff]],
  storage: [[0x010000, 0x01ffff]],
  gpu: [[0x030000, 0x03ffff]],
  accelerator: [
    [0x0b4000, 0x0b40ff],
    [0x120000, 0x12ffff],
  ],
  usb: [[0x0c0300, 0x0c03ff]],
};

type ClassRequest = Extract<DeviceRequest, { kind: 'class' }>;

export function isOfClass(device: PciFunction, request: ClassRequest): boolean {
  const virtual = device.physicalFunction !== null;
  return (
    CLASS_RANGES[request.class].some(([from, to]) => device.class >= from && device.class <= to) &&
    (request.function === 'any' || virtual === (request.function === 'virtual'))
  );
}

/** Why `owner` cannot have a function; null when it can. */
export function whyNotDevice(room: Room, owner: string, address: string): { message: string; hint: string } | null {
  const { site } = room;
  const device = site.devices.get(address);
  if (device === undefined)
    return { message: `there is no PCI function ${address}`, hint: 'See `pk topology` for those there are.' };
  if (device.hostUse !== null)
    return { message: `${address} is in use by the host: ${device.hostUse}`, hint: 'Choose another device.' };
  if (!site.poolDevices.has(address))
    return { message: `${address} is not in the pool`, hint: `Add it: pk pool grow --device ${address}` };
  const has = room.deviceOwner.get(address);
  if (has !== undefined)
    return { message: `${address} belongs to ${has}`, hint: `Release ${has}, or choose another device.` };
  if (device.iommuGroup === null) return null;
  for (const other of site.iommuGroups.get(device.iommuGroup) ?? []) {
    if (other.address === address) continue;
    const holder = room.deviceOwner.get(other.address);
    const together = `and functions of IOMMU group ${device.iommuGroup} can only be given away together`;
    if (holder !== undefined && holder !== owner)
      return {
        message: `${other.address} belongs to ${holder}, ${together} with ${address}`,
        hint: `Release ${holder}, or choose another device.`,
      };
    if (other.hostUse !== null)
      return {
        message: `${other.address} is in use by the host (${other.hostUse}), ${together} with ${address}`,
        hint: 'Choose another device.',
      };
  }
  return null;
}

/** The functions for `requests`, nearest to CPUs on `nodes` first; null when there are not enough. */
export function allotDevices(
  room: Room,
  owner: string,
  requests: readonly DeviceRequest[],
  nodes: readonly number[],
): string[] | null {
  const chosen = new Set<string>();
  for (const request of requests) {
    if (request.kind !== 'address') continue;
    if (whyNotDevice(room, owner, request.address) !== null) return null;
    chosen.add(request.address);
  }
  // Narrow requests choose before wide ones: any NVMe drive is storage too.
  const classes = requests
    .filter((request) => request.kind === 'class')
    .sort((a, b) => breadth(room.site, a) - breadth(room.site, b));
  for (const request of classes) {
    const free = freeOfClass(room, owner, request).filter((address) => !chosen.has(address));
    if (free.length < request.count) return null;
    const ranked = free.map((address) => [deviceDistance(room.site, nodes, address), address] as const);
    ranked.sort(([a], [b]) => a - b);
    for (const [, address] of ranked.slice(0, request.count)) chosen.add(address);
  }
  return [...chosen].sort();
}

/** Pool functions of a class that `owner` could have, ascending. */
export function freeOfClass(room: Room, owner: string, request: ClassRequest): string[] {
  return room.site.pool.devices.filter((address) => {
    const device = room.site.devices.get(address);
    return device !== undefined && isOfClass(device, request) && whyNotDevice(room, owner, address) === null;
  });
}

/** How many of the machine's functions a request would take. */
export function breadth(site: Site, request: ClassRequest): number {
  return site.topology.pci.filter((device) => isOfClass(device, request)).length;
}

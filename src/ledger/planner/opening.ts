/** Where planning begins: what is fixed or kept is taken, and what is left to decide of each request is known. */

import type { Partition } from '../types.ts';
import type { Need } from './choices.ts';
import { cpusSatisfy, devicesSatisfy, memorySatisfies } from './keep.ts';
import { Room } from './room.ts';
import type { Site } from './site.ts';
import type { PlacementInput } from './types.ts';

export function opening(site: Site, { requests, fixed, move }: PlacementInput): { room: Room; needs: Need[] } {
  const room = Room.beside(site, fixed);
  const nothing: Partition = { cpus: [], shared: null, memory: [], hugePageBytes: null, devices: [] };
  const needs = requests.map(({ name, request, current }, index) => {
    const need: Need = { index, name, request, held: { cpus: null, memory: null, devices: null } };
    if (current === null || move?.has(name)) return need;
    const { cpus, shared, memory, hugePageBytes, devices } = current;
    if (cpusSatisfy(site, request.cpus, current) && areFree(room, { ...nothing, cpus, shared })) {
      // The weight alone can change on the spot.
      const weighed = shared && request.cpus.kind === 'shared' ? { ...shared, weight: request.cpus.weight } : shared;
      need.held.cpus = { cpus, shared: weighed };
      room.add(name, { ...nothing, cpus, shared });
    }
    if (memorySatisfies(request.memory, current) && areFree(room, { ...nothing, memory, hugePageBytes })) {
      need.held.memory = memory;
      room.add(name, { ...nothing, memory, hugePageBytes });
    }
    if (areFree(room, { ...nothing, devices }) && devicesSatisfy(site, request.devices, devices)) {
      need.held.devices = devices;
      room.add(name, { ...nothing, devices });
    }
    return need;
  });
  return { room, needs };
}

/** The held parts of a need as a partition. */
export function partitionOf({ cpus, memory, devices }: Need['held'], hugePageBytes: number | null): Partition {
  return {
    cpus: cpus?.cpus ?? [],
    shared: cpus?.shared ?? null,
    memory: memory ?? [],
    hugePageBytes,
    devices: devices ?? [],
  };
}

/** Whether nobody else has any of it. What is recorded as somebody's may have been given up by the pool since. */
function areFree(room: Room, { cpus, shared, memory, hugePageBytes, devices }: Partition): boolean {
  const left = new Map(shared === null ? [] : room.sharedLeft().map(({ cpu, milliCpus }) => [cpu, milliCpus]));
  const part = shared === null ? 0 : Math.ceil(shared.milliCpus / shared.cpus.length);
  return (
    cpus.every((cpu) => !room.cpuOwner.has(cpu)) &&
    (shared?.cpus ?? []).every((cpu) => (left.get(cpu) ?? 0) >= part) &&
    memory.every(({ node, bytes }) => bytes <= room.freeBytes(room.site.nodes.indexOf(node), hugePageBytes)) &&
    devices.every((device) => room.site.poolDevices.has(device) && !room.deviceOwner.has(device))
  );
}

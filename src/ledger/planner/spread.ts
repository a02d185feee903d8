/** The terms of the objective that belong to one instance alone. */
import type { NodeMemory } from '../types.ts';
import { GIB, LOCAL_DISTANCE, POINTS } from './points.ts';
import { nearest, nodeOfDevice, type Site } from './site.ts';

/**
 * Points for the packages, nodes, L3s and core types of an instance's CPUs, given by number, by leaf, or both. Shared CPUs
 * are of no leaf and count by node only.
 */
export function spreadPoints(site: Site, cpus: readonly number[], leaves: readonly number[] = []): number {
  const packages = new Set<number>();
  const nodes = new Set<number>();
  const l3s = new Set<number>();
  const types = new Set<string>();
  const add = (index: number): void => {
    const leaf = site.leaves[index]!;
    packages.add(leaf.package);
    nodes.add(leaf.node);
    l3s.add(leaf.l3);
    if (leaf.type !== null) types.add(leaf.type);
  };
  for (const leaf of leaves) add(leaf);
  for (const cpu of cpus) {
    const core = site.coreOf.get(cpu);
    if (core !== undefined) add(core.leaf);
    else nodes.add(site.nodeOfCpu.get(cpu) ?? 0);
  }
  return (
    POINTS.extraPackage * beyondOne(packages) +
    POINTS.extraNode * beyondOne(nodes) +
    POINTS.extraL3 * beyondOne(l3s) +
    POINTS.mixedTypes * beyondOne(types)
  );
}

const beyondOne = (set: ReadonlySet<unknown>): number => Math.max(0, set.size - 1);

/** Points for memory away from CPUs on `nodes` (indices). */
export function memoryPoints(site: Site, nodes: readonly number[], memory: readonly NodeMemory[]): number {
  let points = 0;
  for (const { node, bytes } of memory) {
    const away = nearest(site, nodes, site.nodes.indexOf(node)) - LOCAL_DISTANCE;
    points += POINTS.remoteGiB * away * (bytes / GIB);
  }
  return points;
}

/** Points for devices away from CPUs on `nodes` (indices); a device whose node is unknown is away from nobody. */
export function devicePoints(site: Site, nodes: readonly number[], devices: readonly string[]): number {
  let points = 0;
  for (const address of devices) points += POINTS.device * deviceDistance(site, nodes, address);
  return points;
}

/** Distance beyond local from the nearest of `nodes` to a device. */
export function deviceDistance(site: Site, nodes: readonly number[], address: string): number {
  const node = nodeOfDevice(site, address);
  return node === null ? 0 : nearest(site, nodes, node) - LOCAL_DISTANCE;
}

/** The objective of a whole plan, computed from nothing but its partitions. */
import type { Partition } from '../types.ts';
import { POINTS } from './points.ts';
import { Room } from './room.ts';
import { nodesOfCpus, type Site } from './site.ts';
import { devicePoints, memoryPoints, spreadPoints } from './spread.ts';

/** Points of `placed` (by name) beside `fixed`, when `refused` further requests got no place; see points.ts. */
export function costOf(
  site: Site,
  fixed: Readonly<Record<string, Partition>>,
  placed: Readonly<Record<string, Partition>>,
  refused: number,
): number {
  const room = Room.beside(site, { ...fixed, ...placed });
  let points = POINTS.refused * refused;
  for (const name of Object.keys(placed).sort()) {
    const partition = placed[name]!;
    const cpus = partition.shared?.cpus ?? partition.cpus;
    const nodes = nodesOfCpus(site, cpus);
    points += spreadPoints(site, cpus);
    points += memoryPoints(site, nodes, partition.memory) + devicePoints(site, nodes, partition.devices);
  }
  return points + room.fragmentation;
}

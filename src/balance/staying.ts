/**
 * CPUs of kernels that cannot leave the one on which they booted (`cpuMoves` of their driver: `not-first`): those that there are stay as far
 * as that goes, the first in any case, and what comes is the nearest to it that the request allows. Pure.
 */
import type { CpuRequest } from '../ledger/index.ts';
import { cpusByCore, l3ByCpu, type Topology } from '../topology/index.ts';

export interface Staying {
  name: string;
  request: CpuRequest;
  /** In vCPU order. */
  vcpuCpus: readonly number[];
  /** All that it owns. */
  cpus: readonly number[];
}

/**
 * The CPUs that each of these is to own, by name. `free`: of the pool, what nobody owns; what one gives up another may have. Those for whom
 * there are too few are left out.
 */
export function stayingCpus(
  kernels: readonly Staying[],
  free: readonly number[],
  topology: Topology,
): Map<string, number[]> {
  const left = new Set(free);
  const nodes = new Map(topology.cpus.map(({ id, node }) => [id, node]));
  const found = new Map<string, number[]>();
  const isLess = ({ cpus, request }: Staying) => request.kind === 'count' && request.count < cpus.length;
  for (const kernel of [...kernels].sort((one, other) => Number(isLess(other)) - Number(isLess(one)))) {
    if (kernel.request.kind !== 'count') continue;
    const { count, smt, cache, numa } = kernel.request;
    const units = smt === 'any' ? topology.cpus.map(({ id }) => [id]) : coresOf(topology);
    const own = ownUnits(kernel, units);
    const distance = distanceFrom(topology, kernel.vcpuCpus[0]!);
    const mayBe = (cpu: number) =>
      left.has(cpu) && (cache !== 'shared-l3' || distance(cpu) === 0) && (numa === null || nodes.get(cpu) === numa);
    const more = units
      .filter((unit) => unit.every(mayBe))
      .sort((one, other) => distance(one[0]!) - distance(other[0]!) || one[0]! - other[0]!);
    const taken: number[] = [];
    for (const unit of [...own, ...more]) if (taken.length < count) taken.push(...unit);
    if (taken.length < count) continue;
    for (const cpu of taken) left.delete(cpu);
    for (const cpu of kernel.cpus) if (!taken.includes(cpu)) left.add(cpu);
    found.set(kernel.name, taken);
  }
  return found;
}

const coresOf = (topology: Topology): number[][] =>
  [...cpusByCore(topology).values()]
    .map((cpus) => cpus.filter(({ online }) => online).map(({ id }) => id))
    .filter((cpus) => cpus.length > 0);

/** Those it has, that of its first vCPU at the head. */
function ownUnits({ cpus, vcpuCpus }: Staying, units: readonly number[][]): number[][] {
  const place = (unit: readonly number[]): number =>
    Math.min(...unit.map((cpu) => vcpuCpus.indexOf(cpu)).filter((at) => at >= 0), vcpuCpus.length);
  const own = units.map((unit) => unit.filter((cpu) => cpus.includes(cpu))).filter((unit) => unit.length > 0);
  return own.sort((one, other) => place(one) - place(other));
}

/** Of a CPU, by what it shares with `first`: 0 its last-level cache, 1 its node, 2 its package, 3 nothing. */
function distanceFrom(topology: Topology, first: number): (cpu: number) => number {
  const l3 = l3ByCpu(topology);
  const cpus = new Map(topology.cpus.map((cpu) => [cpu.id, cpu]));
  const near = cpus.get(first);
  return (id) => {
    const cpu = cpus.get(id);
    if (l3.get(id) !== undefined && l3.get(id) === l3.get(first)) return 0;
    if (cpu?.node === near?.node) return 1;
    return cpu?.package === near?.package ? 2 : 3;
  };
}

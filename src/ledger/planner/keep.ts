/** Whether what an instance has still is what it asks for, part by part: only the parts that changed are placed anew. */
import { vcpusOf } from '../request.ts';
import type { CpuRequest, DeviceRequest, MemoryRequest, NodeMemory, Partition } from '../types.ts';
import { breadth, isOfClass } from './allot.ts';
import { allowedLeaves } from './cpu-options.ts';
import type { Core, Site } from './site.ts';

export function cpusSatisfy(
  site: Site,
  request: CpuRequest,
  { cpus, shared }: Pick<Partition, 'cpus' | 'shared'>,
): boolean {
  if (request.kind === 'shared') {
    return (
      cpus.length === 0 &&
      shared !== null &&
      shared.milliCpus === request.milliCpus &&
      shared.cpus.length === vcpusOf(request) &&
      shared.cpus.every((cpu) => site.sharedCpus.includes(cpu))
    );
  }
  if (shared !== null || !cpus.every((cpu) => site.coreOf.has(cpu))) return false;
  if (request.kind === 'exact') return String([...request.cpus].sort((a, b) => a - b)) === String(cpus);
  const allowed = new Set(allowedLeaves(site, request));
  const cores = new Set(cpus.map((cpu) => site.coreOf.get(cpu)!));
  const l3s = new Set([...cores].map((core) => site.leaves[core.leaf]!.l3));
  if (![...cores].every((core) => allowed.has(core.leaf))) return false;
  if (request.cache === 'shared-l3' && (l3s.size > 1 || [...l3s].some((l3) => site.l3s[l3]!.cpus === null)))
    return false;
  if (request.cache === 'spread' && !isSpread(site, cores, allowed)) return false;
  return request.smt === 'any' ? cpus.length === request.count : areWholeCores(cpus, cores, request.count);
}

/** Not all in one place where there are several: how evenly depends on what others had when it was placed. */
function isSpread(site: Site, cores: ReadonlySet<Core>, allowed: ReadonlySet<number>): boolean {
  const l3s = new Set([...cores].map(({ leaf }) => site.leaves[leaf]!.l3));
  const all = new Set([...allowed].map((leaf) => site.leaves[leaf]!.l3));
  return l3s.size > 1 || cores.size < 2 || all.size < 2;
}

/** Whether `cpus` are whole cores, enough of them and none too many. */
function areWholeCores(cpus: readonly number[], cores: ReadonlySet<Core>, count: number): boolean {
  const threads = [...cores].map((core) => core.cpus.length);
  const total = threads.reduce((sum, each) => sum + each, 0);
  return (
    total === cpus.length &&
    [...cores].every((core) => core.whole) &&
    total >= count &&
    total - Math.min(...threads) < count
  );
}

export function memorySatisfies(
  request: MemoryRequest,
  { memory, hugePageBytes }: Pick<Partition, 'memory' | 'hugePageBytes'>,
): boolean {
  if (request.hugePageBytes !== hugePageBytes) return false;
  if (request.kind === 'nodes') return isSameMemory(request.memory, memory);
  const total = memory.reduce((sum, { bytes }) => sum + bytes, 0);
  return total === request.bytes && (request.node === null || memory.every(({ node }) => node === request.node));
}

function isSameMemory(a: readonly NodeMemory[], b: readonly NodeMemory[]): boolean {
  const text = (memory: readonly NodeMemory[]): string =>
    String(memory.map(({ node, bytes }) => `${node}=${bytes}`).sort());
  return text(a) === text(b);
}

export function devicesSatisfy(site: Site, requests: readonly DeviceRequest[], devices: readonly string[]): boolean {
  const left = new Set(devices);
  const named = new Set(requests.flatMap((request) => (request.kind === 'address' ? [request.address] : [])));
  for (const address of named) if (!left.delete(address)) return false;
  const classes = requests.filter((request) => request.kind === 'class');
  for (const request of classes.sort((a, b) => breadth(site, a) - breadth(site, b))) {
    // What one was that is gone cannot be seen: it stays, and advice tells of it.
    const fitting = [...left].filter((address) => {
      const device = site.devices.get(address);
      return device === undefined || isOfClass(device, request);
    });
    if (fitting.length < request.count) return false;
    for (const address of fitting.slice(0, request.count)) left.delete(address);
  }
  return left.size === 0;
}

/** Why an instance is where it is. Every sentence is worked out from the room as it was when the place was chosen. */
import { cpusText, formatCpuList } from '../../sys/cpu-list.ts';
import type { CpuRequest, MemoryRequest, NodeMemory, Partition } from '../types.ts';
import { allowedLeaves, type CountRequest, type CpuOption, capacity } from './cpu-options.ts';
import { LOCAL_DISTANCE } from './points.ts';
import type { Room } from './room.ts';
import { nearest, nodeOfDevice, type Site } from './site.ts';
import { deviceDistance } from './spread.ts';
import { counted, exactBytes, listText, nodesText } from './words.ts';

export function whyTheseCpus(room: Room, request: CpuRequest, option: CpuOption, cpus: readonly number[]): string {
  const { site } = room;
  switch (request.kind) {
    case 'exact':
      return `${counted(cpus.length, 'CPU')} ${formatCpuList(cpus)}: as asked (${nodesText(site, option.nodes)})`;
    case 'shared': {
      const { cpus: on } = option.shared!;
      const each = Math.ceil(request.milliCpus / on.length) / 1000;
      const left = new Map(room.sharedLeft().map(({ cpu, milliCpus }) => [cpu, milliCpus]));
      const why = on.some((cpu) => left.get(cpu)! < 1000) ? 'the least room left that fits' : 'nothing else on it yet';
      const parts = on.length === 1 ? '' : `, ${each} of each`;
      return `${request.milliCpus / 1000} of shared ${cpusText(on)}${parts}: ${why} (${nodesText(site, option.nodes)})`;
    }
    case 'count':
      return countReason(room, request, option, cpus);
  }
}

function countReason(room: Room, request: CountRequest, option: CpuOption, cpus: readonly number[]): string {
  const { site } = room;
  const list = formatCpuList(cpus);
  const idle = cpus.length - request.count;
  const cores = new Set(cpus.map((cpu) => site.coreOf.get(cpu)!));
  const what = request.smt === 'whole-core' ? counted(cores.size, 'whole core') : counted(cpus.length, 'thread');
  const asked = request.numa === null ? '' : ' as asked';
  const near = request.near === null ? '' : `, near ${request.near}`;
  const rest =
    idle === 0
      ? ''
      : `; ${counted(idle, 'thread')} of them ${idle === 1 ? 'stays' : 'stay'} idle, since cores are given whole`;
  const where = `${nodesText(site, option.nodes)}${asked}${near}`;
  return `${counted(cpus.length, 'CPU')} ${list}: ${what} ${placeText(room, request, option, cpus)} (${where})${rest}`;
}

function placeText(room: Room, request: CountRequest, option: CpuOption, cpus: readonly number[]): string {
  const { site } = room;
  const l3s = [...new Set(option.takes.map(({ leaf }) => site.leaves[leaf]!.l3))];
  const allowed = new Set(allowedLeaves(site, request));
  const has = (l3: number): number =>
    site.l3s[l3]!.leaves.filter((leaf) => allowed.has(leaf)).reduce(
      (sum, leaf) => sum + capacity(room, leaf, request.smt),
      0,
    );
  const fitting = site.l3s.flatMap((_, l3) => (has(l3) >= request.count ? [l3] : []));
  const group = site.l3s[l3s[0]!]!.cpus === null ? 'node' : 'L3';
  if (l3s.length > 1) {
    const over = group === 'L3' ? `${l3s.length} L3s` : counted(option.nodes.length, 'node');
    if (request.cache === 'spread') return `on ${over}, spread as asked`;
    return fitting.length === 0
      ? `on ${over}, since no one ${group} has so many free`
      : `on ${over}, where its other resources are`;
  }
  const completes = cpus.every((cpu) => room.isBroken(site.coreOf.get(cpu)!));
  if (request.smt === 'any' && completes)
    return cpus.length === 1 ? 'that completes a core no longer whole' : 'that complete cores no longer whole';
  if (site.l3s.length === 1) return `on the only ${group}`;
  if (fitting.length === 1) return `on the only ${group} with so many free`;
  const own = l3s[0]!;
  if (has(own) === Math.min(...fitting.map(has))) return `on the ${group} with the least room that fits`;
  const sameNode = fitting.filter((l3) => site.l3s[l3]!.node === site.l3s[own]!.node);
  return has(own) === Math.min(...sameNode.map(has))
    ? `on the ${group} with the least room that fits on its node`
    : `on the ${group} that leaves the plan as a whole least split`;
}

export function memoryReason(
  room: Room,
  request: MemoryRequest,
  memory: readonly NodeMemory[],
  home: readonly number[],
): string {
  const { site } = room;
  const pages = request.hugePageBytes === null ? '' : ` in ${exactBytes(request.hugePageBytes)} pages`;
  const parts = memory.map(({ node, bytes }) => `${exactBytes(bytes)} on node ${node}`);
  const text = `memory ${listText(parts)}${pages}`;
  if (request.kind === 'nodes' || request.node !== null) return `${text}, as asked`;
  const away = memory.filter(({ node }) => !home.includes(site.nodes.indexOf(node)));
  if (away.length === 0) return `${text}, where its CPUs are`;
  const far = away.map(({ node }) => `node ${node} at distance ${nearest(site, home, site.nodes.indexOf(node))}`);
  return `${text}: ${nodesText(site, home)}, where its CPUs are, has no more, so the rest is on ${listText(far)} (${LOCAL_DISTANCE} = local)`;
}

export function deviceReason(site: Site, address: string, home: readonly number[]): string {
  const node = nodeOfDevice(site, address);
  if (node === null) return `device ${address}, whose node is not known`;
  const away = deviceDistance(site, home, address);
  return away === 0
    ? `device ${address} on node ${site.nodes[node]}, where its CPUs are`
    : `device ${address} on node ${site.nodes[node]}, at distance ${LOCAL_DISTANCE + away} from its CPUs (${LOCAL_DISTANCE} = local)`;
}

export function keptReason({ cpus, shared }: Partition): string {
  return shared === null
    ? `stays on ${cpusText(cpus)}, where it runs`
    : `stays on shared ${cpusText(shared.cpus)}, where it runs`;
}

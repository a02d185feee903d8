/** Why a request's CPUs are not to be had, and what would free them. */
import type { CpuRequest } from '../types.ts';
import { allowedLeaves, type CountRequest, capacity, cpuOptions } from './cpu-options.ts';
import type { Owners, Refusal } from './refusal-types.ts';
import type { Room } from './room.ts';
import { nodeOfDevice } from './site.ts';
import { counted, l3Text, listText, sentence } from './words.ts';

export function cpuRefusal(room: Room, request: CpuRequest, owners: Owners): Refusal | null {
  if (cpuOptions(room, request).length > 0) return null;
  switch (request.kind) {
    case 'count':
      return countRefusal(room, request, owners);
    case 'exact':
      return exactRefusal(room, request.cpus);
    case 'shared':
      return sharedRefusal(room, request);
  }
}

/** Where a request of a count must find all its CPUs. */
interface Scope {
  leaves: readonly number[];
  /** Words after what is needed, and after what is free. */
  need: string;
  free: (amount: string) => string;
}

function countRefusal(room: Room, request: CountRequest, owners: Owners): Refusal {
  const { site } = room;
  const near = request.near;
  const nearNode = near === null ? null : nodeOfDevice(site, near);
  if (near !== null && !site.devices.has(near)) {
    return {
      field: 'cpus.near',
      message: `there is no PCI function ${near}`,
      hint: 'See `pk topology` for those there are.',
    };
  }
  if (request.numa !== null && !site.nodes.includes(request.numa)) {
    const hint = `The nodes are ${listText(site.nodes.map(String))}.`;
    return { field: 'cpus.numa', message: `there is no node ${request.numa}`, hint };
  }
  if (request.numa !== null && nearNode !== null && site.nodes[nearNode] !== request.numa) {
    const message = `node ${request.numa} is asked for, and near ${near}, which is on node ${site.nodes[nearNode]}`;
    return { field: 'cpus.near', message, hint: 'Leave out one of numa and near.' };
  }
  const scope = scopeOf(room, request);
  if (scope === null) {
    const message = 'needs one L3 for all its CPUs; the machine does not say which CPUs of the pool share one';
    return { field: 'cpus.cache', message, hint: 'Allow cache: any.' };
  }
  const has = free(room, scope.leaves, request);
  const unit = request.smt === 'whole-core' ? 'whole core' : 'CPU';
  const needed = request.smt === 'whole-core' ? coresFor(room, scope.leaves, request.count) : request.count;
  const got = request.smt === 'whole-core' ? sum(scope.leaves, (leaf) => room.whole[leaf]!) : has;
  const message = `needs ${counted(needed, unit)}${scope.need}; ${scope.free(got === 0 ? 'none' : String(got))}`;
  const field =
    request.cache === 'shared-l3'
      ? 'cpus.cache'
      : request.numa !== null
        ? 'cpus.numa'
        : near !== null
          ? 'cpus.near'
          : 'cpus';
  return { field, message, hint: sentence([...releases(room, scope, request, owners), ...relaxations(room, request)]) };
}

function scopeOf(room: Room, request: CountRequest): Scope | null {
  const { site } = room;
  const allowed = allowedLeaves(site, request);
  const nearNode = request.near === null ? null : nodeOfDevice(site, request.near);
  const node =
    request.numa !== null
      ? `node ${request.numa}`
      : nearNode === null
        ? ''
        : `node ${site.nodes[nearNode]}, where ${request.near} is`;
  if (request.cache === 'shared-l3') {
    const groups = site.l3s.flatMap((l3, index) => {
      const leaves = l3.leaves.filter((leaf) => allowed.includes(leaf));
      return l3.cpus === null || leaves.length === 0 ? [] : [{ index, leaves, has: free(room, leaves, request) }];
    });
    const [best] = groups.sort((a, b) => b.has - a.has || a.index - b.index);
    if (best === undefined) return null;
    return {
      leaves: best.leaves,
      need: ` on one L3${node === '' ? '' : ` of ${node}`}`,
      free: (amount) => `the largest free group has ${amount} (${l3Text(room, best.index)})`,
    };
  }
  if (node !== '')
    return { leaves: allowed, need: ` on ${node}`, free: (amount) => `${amount} ${isAre(amount)} free there` };
  return { leaves: allowed, need: '', free: (amount) => `${amount} of the pool ${isAre(amount)} free` };
}

const isAre = (amount: string): string => (amount === '1' || amount === 'none' ? 'is' : 'are');
const sum = (leaves: readonly number[], of: (leaf: number) => number): number =>
  leaves.reduce((all, leaf) => all + of(leaf), 0);

function free(room: Room, leaves: readonly number[], request: CountRequest): number {
  return sum(leaves, (leaf) => capacity(room, leaf, request.smt));
}

/** Cores that `count` CPUs take, in the cores with most threads. */
function coresFor(room: Room, leaves: readonly number[], count: number): number {
  return Math.ceil(count / Math.max(1, ...leaves.map((leaf) => room.site.leaves[leaf]!.threads)));
}

/** The least to release in the scope: one owner if one is enough, else several, else growing the pool. */
function releases(room: Room, scope: Scope, request: CountRequest, owners: Owners): string[] {
  const missing = request.count - free(room, scope.leaves, request);
  const gains = new Map<string, number>();
  for (const leaf of scope.leaves) {
    for (const core of room.site.leaves[leaf]!.cores) {
      const holders = new Set(core.cpus.flatMap((cpu) => room.cpuOwner.get(cpu) ?? []));
      const [holder] = holders;
      if (holder === undefined || (request.smt === 'whole-core' && (holders.size > 1 || !core.whole))) continue;
      for (const each of holders) {
        const gain =
          request.smt === 'whole-core'
            ? core.cpus.length
            : core.cpus.filter((cpu) => room.cpuOwner.get(cpu) === each).length;
        gains.set(each, (gains.get(each) ?? 0) + gain);
      }
    }
  }
  const ranked = [...gains]
    .filter(([name]) => Object.hasOwn(owners, name))
    .sort(([a, x], [b, y]) => x - y || (a < b ? -1 : 1));
  const enough = ranked.find(([, gain]) => gain >= missing);
  if (enough !== undefined) return [`release ${enough[0]}`];
  const several: string[] = [];
  let gained = 0;
  for (const [name, gain] of ranked.reverse()) {
    if (gained >= missing || several.length === 4) break;
    several.push(name);
    gained += gain;
  }
  if (gained >= missing) return [`release ${listText(several.sort())}`];
  const most = sum(scope.leaves, (leaf) => ofAll(room, leaf, request));
  return most >= request.count
    ? ['release some of what runs there']
    : [...(most > 0 ? [`ask for at most ${most}`] : []), 'grow the pool (pk pool grow --cpus LIST)'];
}

/** CPUs of a leaf when nobody owns anything. */
function ofAll(room: Room, leaf: number, { smt }: CountRequest): number {
  const cores = room.site.leaves[leaf]!.cores.filter((core) => smt === 'any' || core.whole);
  return cores.reduce((all, core) => all + core.cpus.length, 0);
}

/** Constraints of which lifting one alone makes a place. */
function relaxations(room: Room, request: CountRequest): string[] {
  const fits = (change: Partial<CountRequest>): boolean => cpuOptions(room, { ...request, ...change }).length > 0;
  return [
    ...(request.cache === 'shared-l3' && fits({ cache: 'any' }) ? ['allow cache: any'] : []),
    ...(request.numa !== null && fits({ numa: null }) ? ['allow any node'] : []),
    ...(request.near !== null && fits({ near: null }) ? ['leave out near'] : []),
    ...(request.smt === 'whole-core' && fits({ smt: 'any' }) ? ['allow smt: any'] : []),
  ];
}

function exactRefusal(room: Room, cpus: readonly number[]): Refusal {
  const { site } = room;
  const known = new Map(site.topology.cpus.map((cpu) => [cpu.id, cpu]));
  const inPool = new Set(site.pool.cpus);
  const shared = new Set(site.pool.sharedCpus);
  const bad = new Map<string, number[]>();
  for (const cpu of cpus) {
    const owner = room.cpuOwner.get(cpu);
    const what = !known.has(cpu)
      ? 'does not exist'
      : !known.get(cpu)!.online
        ? 'is offline'
        : !inPool.has(cpu)
          ? 'is not in the pool'
          : shared.has(cpu)
            ? 'is of the shared class'
            : !site.coreOf.has(cpu)
              ? 'is not allowed to this process'
              : owner !== undefined
                ? `is owned by ${owner}`
                : null;
    if (what !== null) bad.set(what, [...(bad.get(what) ?? []), cpu]);
  }
  const parts = [...bad].flatMap(([what, list]) => list.map((cpu) => `CPU ${cpu} ${what}`));
  const holders = [...new Set(cpus.flatMap((cpu) => room.cpuOwner.get(cpu) ?? []))].sort();
  const only = holders.length > 0 && [...bad.keys()].every((what) => what.startsWith('is owned by'));
  const hint = only
    ? [`release ${listText(holders)}`, 'ask for a number of CPUs instead']
    : ['choose among the dedicated CPUs of the pool (pk pool show)', 'ask for a number of CPUs instead'];
  return { field: 'cpus', message: parts.length === 0 ? 'names no CPU' : listText(parts), hint: sentence(hint) };
}

function sharedRefusal(room: Room, { milliCpus }: Extract<CpuRequest, { kind: 'shared' }>): Refusal {
  const count = Math.ceil(milliCpus / 1000);
  const part = Math.ceil(milliCpus / count);
  const left = room.sharedLeft();
  if (left.length === 0) {
    return {
      field: 'cpus',
      message: 'the pool has no shared CPUs',
      hint: 'Give it some (pk pool grow --shared LIST), or ask for dedicated CPUs.',
    };
  }
  const fitting = left.filter((each) => each.milliCpus >= part).length;
  const most = Math.max(...left.map((each) => each.milliCpus));
  const needs = count === 1 ? `${part / 1000} of one shared CPU` : `${part / 1000} of each of ${count} shared CPUs`;
  const seen =
    count === 1
      ? `the one with most left has ${most / 1000}`
      : `${fitting} of ${left.length} ${fitting === 1 ? 'has' : 'have'} so much left`;
  return {
    field: 'cpus',
    message: `needs ${needs}; ${seen}`,
    hint: 'Ask for a smaller part, or add shared CPUs (pk pool grow --shared LIST).',
  };
}

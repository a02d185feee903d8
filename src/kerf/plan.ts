/**
 * What an import takes over: what the host kernel says now, less what this daemon's own launches have brought there. Pure. What is
 * contradictory, half done or of a kind that has no place here is refused with the reason, and then nothing is taken over.
 */
import { INSTANCE_NAME, type MemoryRange } from '../devicetree/multikernel/index.ts';
import type { SeenHost, SeenInstance } from '../driver/multikernel/foreign.ts';
import { formatBytes } from '../sys/units.ts';
import type { AdoptedHost, AdoptedKernel, AdoptedPool, ImportChange, ImportPlan, KerfImage } from './types.ts';

export interface ImportInput {
  seen: SeenHost;
  /** What is taken over already. */
  before: AdoptedHost | null;
  /** Names of the host kernel's instances that kernels of this daemon run in. */
  ours: ReadonlySet<string>;
  /** CPUs by physical ids, and functions by addresses, that somebody has already; in words. */
  cpuOwners: ReadonlyMap<number, string>;
  functionOwners: ReadonlyMap<string, string>;
  imageOf(name: string): KerfImage;
}

/** Ids that kexec_file_load(2) has room for. */
const MOST_ID = 2047;
const STATES = ['ready', 'loaded', 'active'];
/** Of instances that launches of Polykernel make, and of those that only hold a place for them. */
const OF_POLYKERNEL = /^pk-[0-9a-f]{12}(\.|$)/;

export function planImport(input: ImportInput): ImportPlan {
  const { seen, before, ours } = input;
  const foreign = seen.instances.filter(({ name }) => !ours.has(name.replace(/\..*$/, '')));
  const after: AdoptedHost = {
    pool: poolOf(seen, foreign),
    kernels: foreign.map((each) => kernelOf(each, input.imageOf(each.name))).sort((a, b) => compare(a.name, b.name)),
  };
  return { after, changes: [...refusalsOf(input, after.pool, foreign), ...changesOf(before, after)] };
}

/** Whether there is nothing that could be taken over. */
export const isNothing = ({ pool, kernels }: AdoptedHost): boolean =>
  [pool.cpus, pool.chunks, pool.functions, kernels].every(({ length }) => length === 0);

function poolOf({ pool, brought }: SeenHost, foreign: readonly SeenInstance[]): AdoptedPool {
  if (!pool.exists) return { cpus: [], chunks: [], functions: [] };
  const functions = [...pool.functions, ...foreign.flatMap((each) => each.functions)].map(({ address }) => address);
  return {
    cpus: pool.cpus.filter((cpu) => !brought.cpus.includes(cpu)),
    chunks: pool.chunks
      .filter((chunk) => !brought.chunks.some(({ base }) => base === chunk.base))
      .map(({ base, bytes, node }) => ({ base, bytes, node: node ?? null })),
    functions: functions.filter((address) => !brought.functions.includes(address)).sort(),
  };
}

const kernelOf = ({ name, id, cpus, memoryBytes, functions }: SeenInstance, image: KerfImage): AdoptedKernel => ({
  ...{ name, id, cpus, memoryBytes, image },
  functions: functions.map(({ address }) => address).sort(),
});

function changesOf(before: AdoptedHost | null, after: AdoptedHost): ImportChange[] {
  const changes: ImportChange[] = [];
  const pool = isNothing({ ...after, kernels: [] }) ? null : after.pool;
  const had = before === null || isNothing({ ...before, kernels: [] }) ? null : before.pool;
  if (!same(had, pool)) {
    const action = had === null ? 'adopt' : pool === null ? 'forget' : 'change';
    changes.push({ action, what: 'pool', text: pool === null ? 'it is gone' : poolText(pool) });
  }
  const known = new Map(before?.kernels.map((kernel) => [kernel.name, kernel]));
  for (const kernel of after.kernels) {
    const was = known.get(kernel.name);
    known.delete(kernel.name);
    if (same(was, kernel)) continue;
    changes.push({ action: was === undefined ? 'adopt' : 'change', what: kernel.name, text: kernelText(kernel) });
  }
  for (const name of known.keys()) changes.push({ action: 'forget', what: name, text: 'it is gone' });
  return changes;
}

function refusalsOf(
  { seen, cpuOwners, functionOwners }: ImportInput,
  taken: AdoptedPool,
  foreign: readonly SeenInstance[],
): ImportChange[] {
  const refused: ImportChange[] = [];
  const refuse = (what: string, why: string, hint: string) =>
    refused.push({ action: 'refuse', what, text: `${why}. ${hint}` });
  const { pool, memory, brought } = seen;
  const AGAIN = 'Something is half done there: see `dmesg`, have kerf finish it, and import again.';
  const KINDS = 'Take it away with kerf first: what has no place in Polykernel would be lost sight of.';

  // What the host kernel says has to be of one piece: no CPU twice, none from nowhere, none forgotten.
  const holders = new Map<number, string[]>();
  for (const { name, cpus } of seen.instances)
    for (const cpu of cpus) holders.set(cpu, [...(holders.get(cpu) ?? []), name]);
  const inPool = new Set(pool.cpus);
  for (const [cpu, names] of holders) {
    if (names.length > 1) refuse(names.join(' and '), `both have CPU ${cpu}`, AGAIN);
    if (!inPool.has(cpu)) refuse(names[0]!, `has CPU ${cpu}, which is not in the pool`, AGAIN);
    if (pool.freeCpus.includes(cpu)) refuse(names[0]!, `has CPU ${cpu}, which the pool calls free`, AGAIN);
  }
  if (inPool.size !== pool.cpus.length) refuse('pool', 'it has a CPU twice', AGAIN);
  for (const cpu of pool.freeCpus) if (!inPool.has(cpu)) refuse('pool', `it calls CPU ${cpu} free and lacks it`, AGAIN);
  if (pool.exists)
    for (const cpu of pool.cpus)
      if (!holders.has(cpu) && !pool.freeCpus.includes(cpu))
        refuse('pool', `CPU ${cpu} is neither free nor anybody's`, AGAIN);
  for (const [index, chunk] of pool.chunks.entries()) {
    if (pool.chunks.slice(index + 1).some((other) => meet(chunk, other)))
      refuse('pool', `two of its chunks lie over each other, at ${hex(chunk.base)}`, AGAIN);
    if (!memory.some(({ base, bytes }) => base === chunk.base && bytes === chunk.bytes))
      refuse('pool', `/proc/iomem does not have its chunk at ${hex(chunk.base)}`, AGAIN);
  }
  if (pool.platformDevices.length > 0)
    refuse('pool', `it has devices that are no PCI functions: ${pool.platformDevices.join(', ')}`, KINDS);

  const regions = memory.flatMap((chunk) => chunk.taken.map((region) => ({ ...region, chunk })));
  for (const instance of foreign) {
    const { name, id, status } = instance;
    if (OF_POLYKERNEL.test(name)) {
      refuse(
        name,
        'another daemon of Polykernel has made it',
        'Ask that one: its state directory is another (POLYKERNEL_HOME).',
      );
      continue;
    }
    if (!INSTANCE_NAME.test(name))
      refuse(name, 'it cannot be called so here', 'Names have letters, digits, dots, _ and -.');
    if (id < 1 || id > MOST_ID)
      refuse(name, `its id ${id} is none by which it can be loaded, booted or stopped`, `Ids go from 1 to ${MOST_ID}.`);
    if (seen.instances.some((other) => other !== instance && other.id === id))
      refuse(name, `another has its id ${id}`, AGAIN);
    if (!STATES.includes(status))
      refuse(
        name,
        `its status is ${JSON.stringify(status)}, which says that it cannot be trusted to have stopped`,
        AGAIN,
      );
    if (instance.platformDevices.length > 0)
      refuse(name, `it has devices that are no PCI functions: ${instance.platformDevices.join(', ')}`, KINDS);
    const mine = regions.filter((region) => region.name.startsWith(`mk-instance-${id}-${name}-region-`));
    const bytes = mine.reduce((sum, region) => sum + region.bytes, 0);
    if (bytes !== instance.memoryBytes)
      refuse(
        name,
        `it has ${formatBytes(instance.memoryBytes)}, and /proc/iomem books ${formatBytes(bytes)} for it`,
        AGAIN,
      );
    const isBrought = ({ base }: MemoryRange) => brought.chunks.some((chunk) => chunk.base === base);
    if (instance.cpus.some((cpu) => brought.cpus.includes(cpu)) || mine.some(({ chunk }) => isBrought(chunk)))
      refuse(name, 'it has a part of what a kernel of this daemon has brought to the pool', 'Stop that kernel first.');
  }

  // Nothing is owned twice.
  for (const cpu of taken.cpus) {
    const owner = cpuOwners.get(cpu);
    if (owner !== undefined) refuse('pool', `CPU ${cpu} is ${owner}`, 'Take it out of one of the two first.');
  }
  for (const address of taken.functions) {
    const owner = functionOwners.get(address);
    if (owner !== undefined)
      refuse('pool', `${address} is ${owner}`, 'Release it there first: pk sriov ls, pk pool show.');
  }
  return refused;
}

const poolText = ({ cpus, chunks, functions }: AdoptedPool): string =>
  [
    `CPUs ${cpus.join(',') || 'none'} by physical id`,
    `${formatBytes(chunks.reduce((sum, { bytes }) => sum + bytes, 0))} in ${chunks.length} ${chunks.length === 1 ? 'chunk' : 'chunks'}`,
    ...(functions.length === 0 ? [] : [functions.join(' ')]),
  ].join('; ');

const kernelText = ({ id, cpus, memoryBytes, functions }: AdoptedKernel): string =>
  [`id ${id}`, `CPUs ${cpus.join(',') || 'none'}`, formatBytes(memoryBytes), ...functions].join('; ');

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);
const hex = (value: number): string => `0x${value.toString(16)}`;
const meet = (a: MemoryRange, b: MemoryRange): boolean => a.base < b.base + b.bytes && b.base < a.base + a.bytes;

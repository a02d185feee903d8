import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { SeenHost, SeenInstance } from '../driver/multikernel/foreign.ts';
import { type ImportInput, planImport } from './plan.ts';

const GIB = 2 ** 30;
const MIB = 2 ** 20;

type Loose<T> = { -readonly [K in keyof T]: T[K] extends readonly (infer E)[] ? Loose<E>[] : T[K] };
type Seen = Omit<Loose<SeenHost>, 'brought' | 'cpus' | 'pool'> &
  Pick<SeenHost, 'brought' | 'cpus'> & { pool: Loose<SeenHost['pool']> };

/** A host as kerf leaves it: each kernel has CPUs and memory of its own, and one more of each is free. */
function hostOf(kernels: readonly { cpus: number; mib: number; status: string }[]): Seen {
  let cpu = 2;
  const next = () => {
    cpu += 2;
    return cpu;
  };
  let base = 4 * GIB;
  const taken: { name: string; base: number; bytes: number }[] = [];
  const instances = kernels.map(({ cpus, mib, status }, index): Loose<SeenInstance> => {
    const name = `k${index}`;
    const region = { name: `mk-instance-${index + 1}-${name}-region-0`, base, bytes: mib * MIB };
    taken.push(region);
    base += region.bytes;
    const own = Array.from({ length: cpus }, next);
    const none = { functions: [], platformDevices: [] };
    return { name, id: index + 1, cpus: own, memoryBase: region.base, memoryBytes: region.bytes, status, ...none };
  });
  const free = next();
  const chunk = { base: 4 * GIB, bytes: 16 * GIB };
  const functions = [{ address: '0000:09:00.1', vendor: 0x8086, device: 0x154c }];
  const cpus = [...instances.flatMap((each) => each.cpus), free];
  return {
    pool: { exists: true, cpus, freeCpus: [free], chunks: [{ ...chunk, node: 0 }], functions, platformDevices: [] },
    instances,
    memory: [{ ...chunk, taken }],
    brought: { cpus: [], functions: [], chunks: [], coming: null, strays: [] },
    cpus: new Map(),
  };
}

function plan(seen: Seen, more: Partial<ImportInput> = {}) {
  const { after, changes } = planImport({
    seen: seen as SeenHost,
    before: null,
    ours: new Set(),
    cpuOwners: new Map(),
    functionOwners: new Map(),
    imageOf: () => ({}),
    ...more,
  });
  const refused = changes.filter(({ action }) => action === 'refuse');
  return { after, refused, changes: changes.filter(({ action }) => action !== 'refuse') };
}

const kernels = fc.array(
  fc.record({
    cpus: fc.integer({ min: 1, max: 4 }),
    mib: fc.integer({ min: 16, max: 1024 }),
    status: fc.constantFrom('ready', 'loaded', 'active'),
  }),
  { minLength: 2, maxLength: 6 },
);

it('takes over all that is there; once more it changes nothing; of what went or came it says so', () => {
  fc.assert(
    fc.property(kernels, (list) => {
      const seen = hostOf(list);
      const { after, changes, refused } = plan(seen);
      expect(refused).toEqual([]);
      expect(after.kernels.map(({ name }) => name)).toEqual(seen.instances.map(({ name }) => name));
      expect(after.pool).toEqual({
        cpus: seen.pool.cpus,
        chunks: [{ base: 4 * GIB, bytes: 16 * GIB, node: 0 }],
        functions: ['0000:09:00.1'],
      });
      expect(changes.map(({ action }) => action)).toEqual(['pool', ...after.kernels].map(() => 'adopt'));
      expect(plan(seen, { before: after })).toMatchObject({ changes: [], refused: [] });
      // Its states are no part of what is taken over.
      expect(plan(hostOf(list.map((each) => ({ ...each, status: 'ready' }))), { before: after }).changes).toEqual([]);
      const [gone] = seen.instances.splice(0, 1);
      seen.pool.freeCpus.push(...gone!.cpus);
      const less = plan(seen, { before: after });
      expect([less.refused, less.changes]).toMatchObject([[], [{ action: 'forget', what: gone!.name }]]);
    }),
    { numRuns: 100 },
  );
});

/** What is half done, contradictory, of another kind, or somebody's already. Each gets a good host. */
const SPOILT: Record<string, (seen: Seen) => Partial<ImportInput> | undefined> = {
  'a CPU that two have': ({ instances: [a, b] }) => void a!.cpus.push(b!.cpus[0]!),
  'a CPU from nowhere': ({ instances: [a] }) => void a!.cpus.push(999),
  'a CPU that is free and somebody’s': ({ instances: [a], pool }) => void pool.freeCpus.push(a!.cpus[0]!),
  'a CPU that is nobody’s and not free': ({ pool }) => void pool.freeCpus.pop(),
  'a free CPU that is not in the pool': ({ pool }) => void pool.freeCpus.push(999),
  'a CPU that the pool has twice': ({ pool }) => void pool.cpus.push(pool.freeCpus[0]!),
  'a chunk that is not in /proc/iomem': ({ pool }) => void pool.chunks.push({ base: 64 * GIB, bytes: GIB, node: 0 }),
  'chunks over each other': ({ pool, memory }) => {
    const half = { base: 4 * GIB, bytes: GIB };
    pool.chunks.push({ ...half, node: 0 });
    memory.push({ ...half, taken: [] });
    return undefined;
  },
  'memory that is not booked': ({ memory: [chunk] }) => void chunk!.taken.pop(),
  'memory that is booked for another id': ({ instances: [a] }) => {
    a!.id = 77;
    return undefined;
  },
  'an id of two': ({ instances: [a, b] }) => {
    a!.id = b!.id;
    return undefined;
  },
  'an id that no call takes': ({ instances: [a], memory: [chunk] }) => {
    chunk!.taken[0]!.name = chunk!.taken[0]!.name.replace(`-${a!.id}-`, '-4096-');
    a!.id = 4096;
    return undefined;
  },
  'a kernel that failed': ({ instances: [a] }) => {
    a!.status = 'failed';
    return undefined;
  },
  'a kernel that is being made': ({ instances: [a] }) => {
    a!.status = 'empty';
    return undefined;
  },
  'a platform device': ({ instances: [a] }) => void a!.platformDevices.push('serial0'),
  'a platform device of the pool': ({ pool }) => void pool.platformDevices.push('serial0'),
  'a name that is none': ({ instances: [a], memory: [chunk] }) => {
    chunk!.taken[0]!.name = `mk-instance-${a!.id}-a b-region-0`;
    a!.name = 'a b';
    return undefined;
  },
  'a kernel of another daemon': ({ instances: [a], memory: [chunk] }) => {
    chunk!.taken[0]!.name = `mk-instance-${a!.id}-pk-0123456789ab-region-0`;
    a!.name = 'pk-0123456789ab';
    return undefined;
  },
  'a kernel on what one of ours has brought': (seen) => {
    seen.brought = { ...seen.brought, cpus: [seen.instances[0]!.cpus[0]!] };
    return undefined;
  },
  'a CPU of our own pool': ({ pool }) => ({ cpuOwners: new Map([[pool.cpus[0]!, "in Polykernel's pool"]]) }),
  'a function that is leased': () => ({ functionOwners: new Map([['0000:09:00.1', 'leased to web']]) }),
};

it.each(Object.keys(SPOILT))('refuses %s, whoever else is there', (what) => {
  fc.assert(
    fc.property(kernels, (list) => {
      const seen = hostOf(list);
      const more = SPOILT[what]!(seen) ?? {};
      const { refused } = plan(seen, more);
      expect(refused).not.toEqual([]);
      for (const { text } of refused) expect(text).not.toMatch(/undefined|NaN|\[object/);
    }),
    { numRuns: 20 },
  );
});

it('leaves out what kernels of this daemon are and have brought', () => {
  const seen = hostOf([
    { cpus: 1, mib: 64, status: 'active' },
    { cpus: 2, mib: 64, status: 'active' },
  ]);
  const [own, other] = seen.instances;
  const chunk = { base: 32 * GIB, bytes: GIB };
  own!.name = 'pk-0123456789ab';
  seen.memory[0]!.taken.shift();
  seen.memory.push({ ...chunk, taken: [{ ...chunk, name: 'mk-instance-1-pk-0123456789ab-region-0' }] });
  seen.pool.chunks.push({ ...chunk, node: 0 });
  seen.brought = { ...seen.brought, cpus: own!.cpus, chunks: [chunk] };
  const { after, refused } = plan(seen, { ours: new Set(['pk-0123456789ab']) });
  expect(refused).toEqual([]);
  expect(after.kernels.map(({ name }) => name)).toEqual([other!.name]);
  expect(after.pool.cpus).toEqual([...other!.cpus, ...seen.pool.freeCpus]);
  expect(after.pool.chunks).toEqual([{ base: 4 * GIB, bytes: 16 * GIB, node: 0 }]);
});

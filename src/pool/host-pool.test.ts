import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { silentJournal } from '../core/journal.ts';
import type { Pool } from '../ledger/index.ts';
import type { Topology } from '../topology/index.ts';
import type { HostAct } from './acts.ts';
import { HostPool, type PoolEnforcement, type PoolRecord } from './host-pool.ts';

const CPUS = 8;
const topology: Topology = {
  format: 1,
  architecture: 'x86_64',
  cpus: Array.from({ length: CPUS }, (_, id) => ({
    id,
    online: true,
    isolated: false,
    package: 0,
    die: 0,
    cluster: null,
    core: id,
    thread: 0,
    node: 0,
    type: null,
    capacity: null,
  })),
  caches: [],
  numaNodes: [
    { id: 0, cpus: [0, 1, 2, 3, 4, 5, 6, 7], memoryBytes: 2 ** 30, freeBytes: null, distances: [10], hugePages: [] },
  ],
  pci: [],
  pageBytes: 4096,
  limits: { cpus: null, nodes: null, memoryBytes: null },
  warnings: [],
};
const pool = (cpus: number[]): Pool => ({ cpus, sharedCpus: [], memory: [], devices: [] });

/** The process dies here: nothing after it happens. */
class Death extends Error {}

/** A host whose interrupt N is bound to CPU N, or wherever the pool sends it; and the disk. Both survive the process. */
class World {
  interrupts: string[] = Array.from({ length: CPUS }, (_, cpu) => String(cpu));
  disk: string = 'null';
  bootId = 'first';
  /** CPUs of the group that the process is in. */
  allowed: number[] | null = null;
  /** Calls until the process dies. */
  life = Number.POSITIVE_INFINITY;

  #step(): void {
    if (this.life-- <= 0) throw new Death();
  }

  start(): HostPool {
    const enforcement: PoolEnforcement = {
      plan: ({ cpus }, housekeeping) => {
        this.#step();
        const acts = cpus.map(
          (irq) => ({ kind: 'irq', irq, before: this.interrupts[irq]!, after: housekeeping.join(',') }) as HostAct,
        );
        return { acts, notes: [] };
      },
      perform: async (act) => {
        this.#step();
        const { irq, after } = act as { irq: number; after: string };
        this.interrupts[irq] = after;
        return undefined;
      },
      undo: async (act) => {
        this.#step();
        const { irq, before, after } = act as { irq: number; before: string; after: string };
        if (this.interrupts[irq] === after) this.interrupts[irq] = before;
        return undefined;
      },
      readBack: () => ({ holds: [], lost: [] }),
    };
    return new HostPool({
      kept: {
        get: () => JSON.parse(this.disk) as PoolRecord | null,
        put: (record) => {
          this.#step();
          this.disk = JSON.stringify(record);
        },
      },
      lent: () => [],
      readTopology: () => ({ ...topology, limits: { ...topology.limits, cpus: this.allowed } }),
      bootId: this.bootId,
      lease: { take: () => {}, drop: () => {} },
      enforcement,
      journal: silentJournal,
    });
  }
}

describe('the process dies anywhere', () => {
  const wishes = fc.array(fc.option(fc.uniqueArray(fc.integer({ min: 1, max: CPUS - 1 }), { minLength: 1 })), {
    minLength: 1,
    maxLength: 5,
  });

  it('and the next one makes the record true, or leaves nothing', async () => {
    await fc.assert(
      fc.asyncProperty(wishes, fc.array(fc.integer({ min: 0, max: 30 }), { maxLength: 4 }), async (list, lives) => {
        const world = new World();
        const untouched = [...world.interrupts];
        for (const wish of list) {
          const next = wish === null ? null : pool(wish);
          world.life = lives.shift() ?? Number.POSITIVE_INFINITY;
          await world
            .start()
            .recover()
            .catch(() => {});
          await world
            .start()
            .set(next)
            .catch(() => {});
          world.life = Number.POSITIVE_INFINITY;
          const reborn = world.start();
          await reborn.recover();
          const given = reborn.pool?.cpus ?? [];
          const kept = reborn.housekeepingCpus()?.join(',');
          // Either all of the wish or all of what was before, and the host as that says.
          expect(world.interrupts).toEqual(untouched.map((cpu, irq) => (given.includes(irq) ? kept : cpu)));
          expect(JSON.parse(world.disk)?.stage ?? 'none').toBe(reborn.pool === null ? 'none' : 'ready');
        }
        const last = world.start();
        await last.set(null);
        expect(world.interrupts).toEqual(untouched);
        expect(world.disk).toBe('null');
      }),
      { numRuns: 300 },
    );
  });
});

it('an act of which half is done before death is done again', async () => {
  const world = new World();
  world.life = 4;
  await expect(world.start().set(pool([1, 2, 3]))).rejects.toThrow();
  world.life = Number.POSITIVE_INFINITY;
  const reborn = world.start();
  await reborn.recover();
  expect(world.interrupts.slice(0, 4)).toEqual(['0', '0,4,5,6,7', '0,4,5,6,7', '0,4,5,6,7']);
});

it('a reboot of the host, after which interrupts have other numbers', async () => {
  const world = new World();
  await world.start().set(pool([1, 2]));
  world.interrupts = ['0', '1', '2', '3', '1', '2', '6', '7'];
  world.bootId = 'second';
  const reborn = world.start();
  await reborn.recover();
  await reborn.set(null);
  expect(world.interrupts).toEqual(['0', '1', '2', '3', '1', '2', '6', '7']);
});

it('how firmware names CPUs is known of those too that left the host kernel with a kernel beside it, until the next boot', async () => {
  const { cpus } = topology;
  let seen = cpus.map((cpu) => ({ ...cpu, apicId: cpu.id * 2 }));
  let lent: number[] = [];
  let disk = 'null';
  const start = (bootId: string) =>
    new HostPool({
      kept: {
        get: () => JSON.parse(disk) as PoolRecord | null,
        put: (record) => {
          disk = JSON.stringify(record);
        },
      },
      readTopology: () => ({ ...topology, cpus: seen }),
      lent: () => lent,
      bootId,
      enforcement: {
        plan: () => ({ acts: [], notes: [] }),
        perform: async () => undefined,
        undo: async () => undefined,
        readBack: () => ({ holds: [], lost: [] }),
      },
      lease: { take: () => {}, drop: () => {} },
      journal: silentJournal,
    });
  await start('first').set(pool([4, 5, 6]));
  seen = seen.filter(({ id }) => id !== 5 && id !== 6);
  lent = [5, 6];
  const later = start('first');
  expect(later.apicIds([4, 5])).toEqual([4, 5].map((id) => ({ id, apicId: id * 2 })));
  // A pool that is changed meanwhile forgets nothing.
  expect(later.topology().cpus.map(({ id, online }) => `${id} ${online}`)).toEqual(cpus.map(({ id }) => `${id} true`));
  await later.set(pool([3, 4, 5]));
  expect(start('first').apicIds([3, 5, 6])).toEqual([3, 5, 6].map((id) => ({ id, apicId: id * 2 })));
  lent = [];
  expect(
    start('first')
      .topology()
      .cpus.map(({ id }) => id),
  ).toEqual([0, 1, 2, 3, 4, 7]);
  const rebooted = start('second');
  await rebooted.recover();
  expect(rebooted.apicIds([4, 5])).toEqual([{ id: 4, apicId: 8 }]);
});

it('may use what its own pool took from the group that it is in, and no more than that', async () => {
  const world = new World();
  world.allowed = [0, 1, 2, 3];
  const first = world.start();
  expect(first.topology().limits.cpus).toEqual([0, 1, 2, 3]);
  await first.set(pool([2, 3]));
  // As version 2 of control groups has it: a partition takes its CPUs from all other groups.
  world.allowed = [0, 1];
  expect(first.topology(true).limits.cpus).toEqual([0, 1, 2, 3]);
  expect(world.start().topology().limits.cpus).toEqual([0, 1, 2, 3]);
  await first.set(null);
  expect(first.topology(true).limits.cpus).toEqual([0, 1]);
});

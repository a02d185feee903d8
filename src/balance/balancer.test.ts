/** The balancer on a world of numbers: a policy that wishes what it is told to, and moves that may fail. */
import { setImmediate as turn } from 'node:timers/promises';
import { beforeEach, describe, expect, it } from 'vitest';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { StepError } from '../core/step-errors.ts';
import type { Records } from '../core/table.ts';
import type { InstanceStatus } from '../instance/contract.ts';
import type { InstanceStats } from '../telemetry/contract.ts';
import { Balancer, type BalancerOptions, MOST_MOVES } from './balancer.ts';
import { DecisionLog, type DecisionRecord } from './decision-log.ts';
import { POLICIES } from './policy/policies.ts';
import { settle } from './policy/settle.ts';
import type { Settings } from './settings.ts';
import type { Policy, Window } from './types.ts';
import type { Steered } from './weights.ts';
import { why } from './why.ts';

class World {
  readonly clock = new ManualClock();
  readonly sizes = new Map([
    ['web', 1],
    ['batch', 3],
  ]);
  readonly moves: string[] = [];
  readonly told: string[] = [];
  readonly windows: Window[] = [];
  settings: Settings | null = null;
  records: DecisionRecord[] = [];
  p99Ms = 10;
  isSilent = false;
  failure: Error | undefined;
  /** Guests that do not do what is asked of them. */
  readonly refusing = new Set<string>();
  /** Of a service. */
  targets: Steered['targets'] = [];
  /** What moves wait for. */
  slow: Promise<void> | undefined;
  /** So often a policy began. */
  begun = 0;
  /** CPUs that web is wished. */
  wish = 1;

  /** Who is wished that; the first other one with CPUs to spare gives. */
  who = 'web';
  readonly tenants = new Map<string, string>();
  readonly #declared = new Map<string, number>();

  /** One more kernel, that has what was declared of it. */
  add(name: string, cpus: number, tenant?: string): void {
    this.sizes.set(name, cpus);
    this.#declared.set(name, cpus);
    if (tenant !== undefined) this.tenants.set(name, tenant);
  }

  remove(name: string): void {
    this.sizes.delete(name);
    this.#declared.delete(name);
    this.tenants.delete(name);
  }

  readonly policy: Policy = {
    ...{ name: 'told', summary: '', interval: 1, defaults: {}, grid: {} },
    begin: () => {
      this.begun += 1;
      return { decide: (window) => this.#wishes(window) };
    },
  };

  readonly table: Records<DecisionRecord> = {
    all: () => [...this.records],
    put: (record: DecisionRecord) => {
      this.records = [...this.records.filter(({ id }) => id !== record.id), record];
    },
    delete: (id: string) => {
      this.records = this.records.filter((record) => record.id !== id);
    },
  };

  #wishes(window: Window) {
    this.windows.push(window);
    const { kernels, observations } = window;
    const taker = kernels.findIndex(({ name }) => name === this.who);
    const giver = kernels.findIndex(({ kind }, index) => kind === 'batch' && observations[index]!.known);
    const { known, cpus } = observations[taker]!;
    if (!known || cpus === this.wish || giver === -1) return [];
    const reason = { rule: 'rest' } as const;
    return [
      { index: taker, cpus: this.wish, reason },
      { index: giver, cpus: observations[giver]!.cpus + cpus - this.wish, reason },
    ];
  }

  open(): Balancer {
    const { clock } = this;
    const names = () => [...this.sizes.keys()];
    const options: BalancerOptions = {
      instances: {
        list: () => names().map((name) => ({ status: this.#status(name) })) as never,
        get: (name: string) => {
          if (this.sizes.has(name)) return { name } as never;
          throw new Error(`there is no ${name}`);
        },
        ledger: () => ({ pool: null, partitions: {} }),
      },
      stats: () => names().map((name) => this.#stats(name)),
      promises: () => new Map(names().flatMap((name) => (isService(name) ? [[name, 100]] : []))),
      moves: {
        move: async ({ from, to, amount }) => {
          await this.slow;
          if (this.failure !== undefined) throw this.failure;
          const things = [from, to].filter((name) => this.refusing.has(name)).map((name) => `instance ${name}`);
          if (things.length > 0) throw new StepError('not-ready', 'it does not let go', {}, things);
          this.moves.push(`${amount} from ${from} to ${to}`);
          this.sizes.set(from, this.sizes.get(from)! - amount);
          this.sizes.set(to, this.sizes.get(to)! + amount);
          return { steps: [], sizes: [] };
        },
      },
      services: {
        known: () => (this.targets.length === 0 ? [] : [{ name: 'api', targets: this.targets }]),
        steer: async (_, times) => {
          this.targets = this.targets.map((target) => ({
            ...target,
            weightNow: Math.round(target.weight * (times.get(target.instance) ?? 1)),
          }));
        },
      },
      policies: async () => [this.policy, ...POLICIES],
      memoryLaw: async () => ({ decide: () => [] }),
      settle: async (window, wishes) => settle(window, wishes),
      kept: {
        get: () => this.settings,
        put: (value) => {
          this.settings = value;
        },
      },
      decisions: new DecisionLog(this.table, () => {}),
      events: { tell: ({ type, message }) => void this.told.push(`${type}: ${message}`) },
      clock,
      journal: { info: () => {}, error: (text, error) => void this.told.push(`${text}: ${error}`), close: () => {} },
    };
    return new Balancer(options);
  }

  #status(name: string): InstanceStatus {
    const elastic = { cpus: { min: 1, max: 4 }, memoryBytes: null };
    const size = { cpus: this.sizes.get(name)!, memoryBytes: 1 };
    const tenant = this.tenants.get(name) ?? null;
    return {
      id: name,
      spec: { name, cpus: this.#declared.get(name) ?? 2, elastic, tenant },
      size,
      state: 'running',
      placement: null,
    } as never;
  }

  #stats(name: string): InstanceStats {
    const at = new Date(this.clock.now() - (this.isSilent ? 60_000 : 0)).toISOString();
    const latencyMs = { p50: 1, p90: 2, p99: this.p99Ms };
    const requests = isService(name) ? { ratePerSecond: 5, errorsPerSecond: 0, inFlight: 0, latencyMs } : null;
    return { id: name, name, guest: { at, busy: 0.5, runQueue: 1 }, requests } as never;
  }

  /** Lets so many intervals pass. */
  async pass(seconds: number): Promise<void> {
    for (let second = 0; second < seconds; second++) {
      this.clock.advance(1000);
      for (let turns = 0; turns < 20; turns++) await turn();
    }
  }
}

const isService = (name: string): boolean => name.startsWith('web');

let world: World;
let balancer: Balancer;
beforeEach(async () => {
  world = new World();
  balancer = world.open();
  await balancer.set({ policy: 'told' });
});

const outcomes = () => world.records.map(({ outcome }) => outcome);

it('does nothing until it is told to, and has no timer', async () => {
  world.wish = 2;
  await world.pass(5);
  expect(world.windows).toEqual([]);
  expect(world.clock.pending()).toEqual([]);
});

it('shows a policy what is, and carries out what it wishes', async () => {
  world.wish = 2;
  await balancer.set({ mode: 'on' });
  await world.pass(2);
  expect(world.moves).toEqual(['1 from batch to web']);
  expect(world.windows[0]).toMatchObject({
    cpus: 4,
    kernels: [
      { name: 'web', kind: 'service', min: 1, max: 4, entitlement: 2, promiseMs: 100 },
      { name: 'batch', kind: 'batch', promiseMs: null },
    ],
    observations: [
      { known: true, cpus: 1, busy: 0.5, arrivals: 5, late: 0, p99Ms: 10 },
      { known: true, cpus: 3, waiting: 0 },
    ],
  });
  await world.pass(5);
  expect(world.moves).toHaveLength(1);
  expect(outcomes()).toEqual(['kept']);
  expect(world.told).toEqual([expect.stringMatching(/^balance-moved: 1 CPU from batch to web: web 1 → 2, since /)]);
  const reasons = new DecisionLog(world.table, () => {}).reasons(0);
  expect(reasons).toEqual([{ resource: 'cpu', rule: 'rest', count: 1 }]);
});

it.each([-3_600_000, 3_600_000])(
  'begins anew when the time of day is set, and moves as before (%d ms)',
  async (step) => {
    await balancer.set({ mode: 'on' });
    await world.pass(2);
    const begun = world.begun;
    world.clock.shift(step);
    await world.pass(1);
    expect(world.begun).toBe(begun + 1);
    world.wish = 2;
    await world.pass(1);
    expect(world.moves).toEqual(['1 from batch to web']);
    await world.pass(2);
    expect(world.begun).toBe(begun + 1);
  },
);

it('has one timer, whatever it is told while it looks', async () => {
  await balancer.set({ mode: 'on' });
  world.clock.advance(1000);
  await balancer.set({ mode: 'observe' });
  await world.pass(3);
  expect(world.clock.pending()).toHaveLength(1);
  await balancer.set({ mode: 'off' });
  await world.pass(3);
  expect(world.clock.pending()).toEqual([]);
});

it('observes without acting', async () => {
  world.wish = 2;
  await balancer.set({ mode: 'observe' });
  await world.pass(2);
  expect(world.moves).toEqual([]);
  expect(outcomes()).toEqual(['observed']);
});

it('freezes what is held, and what nothing is known of', async () => {
  world.wish = 2;
  balancer.hold('web', world.clock.now() + 3_000);
  await balancer.set({ mode: 'on' });
  await world.pass(2);
  expect(world.moves).toEqual([]);
  world.isSilent = true;
  await world.pass(5);
  expect(world.moves).toEqual([]);
  expect(balancer.settings.holds).toEqual({});
  world.isSilent = false;
  await world.pass(1);
  expect(world.moves).toHaveLength(1);
});

describe('safety', () => {
  /** A move for it, after which it is late. */
  async function harm(name: string): Promise<void> {
    world.who = name;
    world.p99Ms = 10;
    world.wish = 2;
    await world.pass(1);
    world.p99Ms = 500;
    await world.pass(2);
    world.wish = 1;
  }

  it('takes a move back after which latency got worse twice, and suspends after three', async () => {
    await balancer.set({ mode: 'on' });
    for (let round = 1; round <= 3; round++) {
      await harm('web');
      expect(world.moves).toHaveLength(2 * round);
    }
    expect(outcomes()).toEqual(['undone', 'undone', 'undone']);
    expect(world.moves.slice(-2)).toEqual(['1 from batch to web', '1 from web to batch']);
    expect(world.records.at(-1)!.note).toMatch(/^latency of web got worse/);
    expect(balancer.settings).toMatchObject({ mode: 'on', suspended: expect.stringContaining('3 moves of told') });
    expect(world.told.at(-1)).toMatch(/^balance-suspended: 3 moves of told/);
    world.wish = 3;
    await world.pass(3);
    expect(world.moves).toHaveLength(6);
    await balancer.set({ mode: 'on' });
    await world.pass(2);
    expect(world.moves).toHaveLength(7);
  });

  it('is not suspended by one tenant, and leaves alone for a while who is late after each move', async () => {
    world.tenants.set('web', 'mallory');
    for (const name of ['web-2', 'web-3']) world.add(name, 1, 'mallory');
    world.add('web-5', 1, 'mallory');
    world.add('web-4', 1);
    await balancer.set({ mode: 'on' });
    for (const name of ['web', 'web', 'web', 'web-2', 'web-3']) await harm(name);
    expect(outcomes()).toEqual(Array(5).fill('undone'));
    await harm('web');
    expect(world.moves).toHaveLength(10);
    expect(balancer.settings.suspended).toBeNull();
    // Nor by those of his kernels that end, and are gone then.
    for (const name of ['web-2', 'web-3']) world.remove(name);
    await harm('web-5');
    expect(balancer.settings.suspended).toBeNull();
    world.p99Ms = 10;
    world.who = 'web-4';
    world.wish = 2;
    await world.pass(3);
    expect(world.moves.at(-1)).toBe('1 from batch to web-4');
    world.who = 'web';
    await world.pass(600);
    expect(world.moves.at(-1)).toBe('1 from batch to web');
  });

  it('has who needs something wait for no guest that offers it, and does not give it', async () => {
    world.add('other', 3);
    world.refusing.add('batch');
    world.wish = 2;
    await balancer.set({ mode: 'on' });
    await world.pass(2);
    expect(outcomes()).toEqual(['failed', 'kept']);
    expect(world.moves).toEqual(['1 from other to web']);
  });

  it('leaves a guest alone for longer each time that does not do what is asked of it', async () => {
    world.refusing.add('web');
    world.wish = 2;
    await balancer.set({ mode: 'on' });
    await world.pass(60 + 120 + 240);
    expect(outcomes()).toEqual(['failed', 'failed', 'failed']);
    world.refusing.clear();
    await world.pass(2);
    expect(world.moves).toEqual(['1 from batch to web']);
  });

  it('makes no more moves a minute than it may', async () => {
    await balancer.set({ mode: 'on' });
    for (let second = 0; second < MOST_MOVES + 5; second++) {
      world.wish = second % 2 === 0 ? 2 : 1;
      await world.pass(1);
    }
    expect(world.moves).toHaveLength(MOST_MOVES);
    expect(outcomes().at(-1)).toBe('held');
    // Who had none lately has one all the same.
    world.add('web-2', 1);
    world.who = 'web-2';
    world.wish = 2;
    await world.pass(2);
    expect(world.moves.slice(MOST_MOVES)).toEqual(['1 from batch to web-2']);
    world.wish = 1;
    await world.pass(2);
    expect(outcomes().at(-1)).toBe('held');
  });

  it('goes on after a move that failed, and says why', async () => {
    world.wish = 2;
    world.failure = new Error('batch does not let go');
    await balancer.set({ mode: 'on' });
    await world.pass(1);
    expect(world.records.at(-1)).toMatchObject({ outcome: 'failed', note: 'batch does not let go' });
    world.failure = undefined;
    await world.pass(1);
    expect(world.moves).toHaveLength(1);
  });
});

it('has requests go where CPUs are while it is on, and tells it', async () => {
  world.targets = ['web', 'batch'].map((instance) => ({ instance, weight: 100, weightNow: 100, drain: false }));
  const weights = () => world.targets.map(({ weightNow }) => weightNow);
  await balancer.set({ mode: 'observe' });
  await world.pass(2);
  expect(weights()).toEqual([100, 100]);
  await balancer.set({ mode: 'on' });
  await world.pass(3);
  // One CPU and three.
  expect(weights()).toEqual([50, 150]);
  expect(world.told).toEqual([
    expect.stringMatching(/^balance-moved: weight 50 for web in service api: web 100 → 50, since it has 1 CPU/),
    expect.stringMatching(/^balance-moved: weight 150 for batch in service api/),
  ]);
  expect(world.records.map(({ decision }) => why(decision))[0]).toBe(
    'weight 50 for web in service api: web 100 → 50, since it has 1 CPU, and the targets of the service 2 on average',
  );
  world.wish = 2;
  await world.pass(3);
  expect(weights()).toEqual([100, 100]);
  world.wish = 3;
  await world.pass(3);
  expect(weights()).toEqual([150, 50]);
  await balancer.set({ mode: 'off' });
  expect(weights()).toEqual([100, 100]);
});

it('goes on while a move takes long, and leaves alone whom it concerns', async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  world.slow = promise;
  world.wish = 2;
  await balancer.set({ mode: 'on' });
  await world.pass(6);
  expect(world.windows.length).toBeGreaterThan(3);
  expect(world.windows.at(-1)!.observations.map(({ known }) => known)).toEqual([false, false]);
  expect(outcomes()).toEqual(['moving']);
  resolve();
  await world.pass(2);
  expect(outcomes()).toEqual(['kept']);
  expect(world.windows.at(-1)!.observations.map(({ known }) => known)).toEqual([true, true]);
  expect(world.moves).toEqual(['1 from batch to web']);
});

it('goes on as it was told after a restart; what was under way has failed', async () => {
  world.wish = 2;
  await balancer.set({ mode: 'on' });
  await world.pass(1);
  balancer.close();
  world.records = world.records.map((record) => ({ ...record, outcome: 'moving' }));
  const next = world.open();
  await next.recover();
  expect(next.settings).toMatchObject({ mode: 'on', policy: 'told' });
  expect(outcomes()).toEqual(['failed']);
  world.wish = 3;
  await world.pass(1);
  expect(world.moves).toHaveLength(2);
});

it('refuses a policy that there is not, naming those there are', async () => {
  await expect(balancer.set({ policy: 'nonsense' })).rejects.toMatchObject({
    code: 'invalid',
    hint: expect.stringContaining('slo'),
  });
});

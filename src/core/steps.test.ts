/** Steps on a world of numbers, in which everything may fail and the process may end at any time. */
import { DatabaseSync } from 'node:sqlite';
import { setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Mutex } from './mutex.ts';
import type { AnyStep, BareStep, Executor, Executors, Step } from './step.ts';
import { type StepRecord, stepTable } from './step-journal.ts';
import { Steps, type StepsOptions } from './steps.ts';
import { Table } from './table.ts';

interface SetCell extends BareStep<'cell.set'> {
  value: number;
}
interface AddCell extends BareStep<'cell.add'> {
  value: number;
}
type CellStep = Step<SetCell, SetCell> | Step<AddCell, SetCell>;

const bare = <Kind extends CellStep['kind']>(kind: Kind, name: string, value: number) =>
  ({ kind, name, value, phase: kind === 'cell.set' ? 'assign' : 'move', text: `${name} = ${value}` }) as const;
const step = (kind: CellStep['kind'], name: string, value: number, before: number): CellStep => ({
  ...bare(kind, name, value),
  undo: bare('cell.set', name, before),
  byHand: 'set it',
});

/** Where a step fails, or the process ends. `half`: with the cell neither as it was nor as it is to be. */
type Fault = { name: string; at: 'check' | 'begin' | 'half' | 'end' | 'verify'; how: 'fails' | 'dies' };
const HALF = Number.NaN;

class World {
  readonly cells = new Map<string, number>();
  readonly log: string[] = [];
  /** Each happens once. */
  faults: Fault[] = [];
  #died = Promise.withResolvers<void>();
  /** Executors never come back from there. */
  get died(): Promise<void> {
    return this.#died.promise;
  }

  executors(): Executors<CellStep> {
    const mine = this.#died;
    const executor = (afterCrash: 'finish' | 'undo'): Executor<SetCell | AddCell> => ({
      check: ({ name }) => this.#meet(mine, name, 'check'),
      run: async ({ name, value }) => {
        this.log.push(name);
        await this.#meet(mine, name, 'begin');
        this.cells.set(name, HALF);
        await this.#meet(mine, name, 'half');
        this.cells.set(name, value);
        await this.#meet(mine, name, 'end');
      },
      verify: async ({ name, value }) => {
        await this.#meet(mine, name, 'verify');
        return this.cells.get(name) === value;
      },
      afterCrash,
    });
    return { 'cell.set': executor('finish'), 'cell.add': executor('undo') };
  }

  /** Another process. */
  restart(): void {
    this.#died = Promise.withResolvers();
  }

  async #meet(mine: PromiseWithResolvers<void>, name: string, at: Fault['at']): Promise<void> {
    const index = this.faults.findIndex((fault) => fault.name === name && fault.at === at);
    if (index === -1) return;
    const [{ how }] = this.faults.splice(index, 1) as [Fault];
    if (how === 'fails') throw new Error(`${name} fails at ${at}`);
    mine.resolve();
    await new Promise(() => {});
  }
}

let database: DatabaseSync;
let table: Table<StepRecord>;
let told: string[];
const kept = () => table.all(() => {});
const runner = (world: World, options: Partial<StepsOptions<CellStep>> = {}) =>
  new Steps<CellStep>({
    executors: world.executors(),
    table,
    journal: { info: (text) => void told.push(text), error: (text) => void told.push(text), close: () => {} },
    ...options,
  });

beforeEach(() => {
  database = new DatabaseSync(':memory:');
  table = new Table(database, stepTable);
  told = [];
});
afterEach(() => database.close());

describe('whatever fails, and wherever the process ends', () => {
  const names = ['a', 'b', 'c', 'd', 'e'];
  const fault = fc.record({
    name: fc.constantFrom(...names),
    at: fc.constantFrom('check', 'begin', 'half', 'end', 'verify'),
    how: fc.constantFrom('fails', 'dies'),
  }) as fc.Arbitrary<Fault>;

  it('nothing is left half done, and what is all or nothing is one of them', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom<CellStep['kind']>('cell.set', 'cell.add'), { minLength: 1, maxLength: names.length }),
        fc.constantFrom('keep' as const, 'undo' as const),
        fc.option(fault, { nil: undefined }),
        fc.option(
          fc.record({ name: fc.constantFrom(...names), at: fc.constantFrom<Fault['at']>('begin', 'half', 'verify') }),
        ),
        async (kinds, onFailure, first, second) => {
          const world = new World();
          const steps = kinds.map((kind, index) => step(kind, names[index]!, index + 100, index));
          for (const [index] of kinds.entries()) world.cells.set(names[index]!, index);
          if (first !== undefined) world.faults.push(first);
          let current = runner(world);
          const outcome = current.submit(steps, { onFailure }).then(
            () => 'done',
            () => 'failed',
          );
          let end = await Promise.race([outcome, world.died.then(() => 'died')]);
          // What came back from a crash may end again, while it takes up what there is.
          for (const again of second === null ? [] : [{ ...second, how: 'dies' as const }]) {
            if (end !== 'died') break;
            await turn();
            current.close();
            world.faults = [again];
            world.restart();
            current = runner(world);
            await Promise.race([current.recover(), world.died]);
          }
          if (end === 'died') {
            await turn();
            current.close();
            world.faults = [];
            world.restart();
            await runner(world).recover();
            end = 'recovered';
          }
          expect(kept()).toEqual([]);
          const isNew = steps.map(({ name, value, undo }) => {
            const now = world.cells.get(name);
            // A failed step is left as its executor left it where nothing is to be taken back.
            if (Number.isNaN(now)) expect([end, onFailure, first?.how]).toEqual(['failed', 'keep', 'fails']);
            else expect([undo.value, value]).toContain(now);
            return now === value;
          });
          if (end === 'done') expect(isNew).not.toContain(false);
          else if (onFailure === 'undo') expect(isNew).not.toContain(true);
          else if (end === 'recovered')
            expect(isNew.filter((_, index) => kinds[index] === 'cell.add')).not.toContain(true);
        },
      ),
      { numRuns: 400 },
    );
  });

  it('one that cannot be completed is taken back, and told', async () => {
    const world = new World();
    world.cells.set('a', 1);
    world.faults = [{ name: 'a', at: 'half', how: 'dies' }];
    const first = runner(world);
    void first.submit([step('cell.set', 'a', 2, 1)]).catch(() => {});
    await world.died;
    expect(kept().map(({ state }) => state)).toEqual(['begun']);
    first.close();
    world.faults = [{ name: 'a', at: 'begin', how: 'fails' }];
    world.restart();
    await runner(world).recover();
    expect(world.cells.get('a')).toBe(1);
    expect(kept()).toEqual([]);
    expect(told).toEqual([
      'a = 2, which was under way when the daemon ended, cannot be completed',
      'a = 2 was taken back: a = 1',
    ]);
  });

  it('a step of a kind that this version does not know is told and forgotten', async () => {
    table.put({
      ...{ id: 'x.1', batch: 'x', number: 1, state: 'begun', onFailure: 'keep' },
      step: { kind: 'moon.land', name: 'moon', phase: 'move', text: 'land', undo: null, byHand: '' },
    });
    await runner(new World()).recover();
    expect(kept()).toEqual([]);
    expect(told).toEqual([
      'land, which was under way when the daemon ended, cannot be completed',
      'land cannot be taken back',
    ]);
  });
});

describe('submit', () => {
  const world = () => new World();

  it('goes by the phases, and tells each step', async () => {
    const steps = [step('cell.add', 'b', 2, 0), step('cell.set', 'a', 1, 0), step('cell.set', 'c', 3, 0)];
    const lines: string[] = [];
    const mine = world();
    await runner(mine).submit(steps, { progress: (text) => void lines.push(text) });
    expect(lines).toEqual(['[1/3] a = 1', '[2/3] c = 3', '[3/3] b = 2']);
    expect(mine.log).toEqual(['a', 'c', 'b']);
  });

  it('two steps that go at once cost two writes, and nothing but their own executors is asked', async () => {
    const writes: number[] = [];
    const counted = {
      all: () => expect.unreachable(),
      change: (put: readonly StepRecord[], remove: readonly string[] = []) => {
        writes.push(put.length + remove.length);
        table.change(put, remove);
      },
    };
    const mine = world();
    const asked: string[] = [];
    const executors = new Proxy(mine.executors(), {
      get: (all, kind: CellStep['kind']) => {
        asked.push(kind);
        return all[kind];
      },
    });
    await runner(mine, { table: counted, executors }).submit([
      step('cell.set', 'a', 1, 0),
      step('cell.set', 'b', 2, 0),
    ]);
    expect(writes).toEqual([2, 2]);
    expect(new Set(asked)).toEqual(new Set(['cell.set']));
  });

  it('is in the table before it is begun, with what takes it back', async () => {
    const mine = world();
    const seen: string[] = [];
    const executors = mine.executors();
    const set = executors['cell.set'];
    const watching: Executors<CellStep> = {
      ...executors,
      'cell.set': {
        ...set,
        run: async (what, signal) => {
          seen.push(...kept().map(({ state, step: { text, undo } }) => `${state}: ${text}, back ${undo?.text}`));
          await set.run(what, signal);
        },
      },
    };
    await runner(mine, { executors: watching }).submit([step('cell.set', 'a', 1, 0)]);
    expect(seen).toEqual(['begun: a = 1, back a = 0']);
  });

  it('begins none whose precondition does not hold, and says how many were not begun', async () => {
    const mine = world();
    mine.faults = [{ name: 'a', at: 'check', how: 'fails' }];
    const steps = [step('cell.set', 'a', 1, 0), step('cell.set', 'b', 2, 0), step('cell.add', 'c', 3, 0)];
    await expect(runner(mine).submit(steps)).rejects.toMatchObject({
      message: 'a = 1: a = 1 failed: a fails at check; 1 step was not begun',
      hint: 'What was done stays. Run the command again to go on from there.',
    });
    expect(mine.log).toEqual(['b']);
  });

  it('never lets two act on one thing at once', async () => {
    const mine = world();
    const current = runner(mine);
    let under = 0;
    const executors = mine.executors();
    const set = executors['cell.set'];
    const slow: Executors<CellStep> = {
      ...executors,
      'cell.set': {
        ...set,
        run: async (what, signal) => {
          under += 1;
          expect(under).toBe(1);
          await turn();
          await set.run(what, signal);
          under -= 1;
        },
      },
    };
    const one = runner(mine, { executors: slow });
    const submit = (value: number) => one.submit([step('cell.set', 'a', value, 0)]);
    const all = [submit(1), submit(2), submit(3)];
    await expect(one.submit([step('cell.set', 'a', 4, 0)], { whenBusy: 'refuse' })).rejects.toMatchObject({
      code: 'conflict',
    });
    await Promise.all(all);
    expect(mine.cells.get('a')).toBe(3);
    current.close();
  });

  it('begins nothing once its signal, or the daemon, has ended', async () => {
    const mine = world();
    const current = runner(mine);
    const signal = AbortSignal.abort(new Error('enough'));
    await expect(current.submit([step('cell.set', 'a', 1, 0)], { signal })).rejects.toThrow('enough');
    current.close();
    await expect(current.submit([step('cell.set', 'a', 1, 0)])).rejects.toMatchObject({ code: 'unavailable' });
    expect(mine.log).toEqual([]);
    expect(kept()).toEqual([]);
  });
});

describe('planned', () => {
  /** Steps on `a` wait until they are let go. */
  const stuck = () => {
    const world = new World();
    const executors = world.executors();
    const set = executors['cell.set'];
    const { promise, resolve: letGo } = Promise.withResolvers<void>();
    const slow: Executors<CellStep> = {
      ...executors,
      'cell.set': {
        ...set,
        run: async (what, signal) => {
          if (what.name === 'a') await promise;
          await set.run(what, signal);
        },
      },
    };
    return { world, letGo, steps: runner(world, { executors: slow }), mutex: new Mutex() };
  };
  const plan = (name: string, value: number) => async () => ({ steps: [step('cell.set', name, value, 0)] });

  it('lets others plan and act while its steps wait', async () => {
    const { world, letGo, steps, mutex } = stuck();
    const first = steps.planned(plan('a', 1), { mutex });
    await steps.planned(plan('b', 2), { mutex });
    expect(steps.underWay.map(({ text }) => text)).toEqual(['a = 1', 'a = 0']);
    expect([...world.cells]).toEqual([['b', 2]]);
    letGo();
    await first;
    expect(world.cells.get('a')).toBe(1);
    expect(steps.underWay).toEqual([]);
  });

  it('plans anew what is about things that others act on, once they have', async () => {
    const { world, letGo, steps, mutex } = stuck();
    const first = steps.planned(plan('a', 1), { mutex });
    const seen: unknown[] = [];
    const lines: string[] = [];
    const more = async () => {
      seen.push(world.cells.get('a'));
      return { steps: [step('cell.set', 'a', 2, 1)] };
    };
    const second = steps.planned(more, { mutex, progress: (text) => void lines.push(text) });
    await steps.planned(plan('b', 2), { mutex });
    letGo();
    await Promise.all([first, second]);
    expect(seen).toEqual([undefined, 1]);
    expect(lines).toContain('waiting for what is under way on the same');
    expect(world.cells.get('a')).toBe(2);
  });

  it('plans what it is told to be about only once nothing is under way on it, also after a crash', async () => {
    const { world, letGo, steps, mutex } = stuck();
    const planned: string[] = [];
    const about = (thing: string, name: string) => async () => {
      planned.push(`${thing} ${name}`);
      return { steps: [step('cell.set', name, 1, 0)] };
    };
    const first = steps.planned(about('one', 'a'), { mutex, things: ['stack one'] });
    const again = steps.planned(about('one', 'b'), { mutex, things: ['stack one'] });
    await steps.planned(about('two', 'c'), { mutex, things: ['stack two'] });
    expect(planned).toEqual(['one a', 'two c']);
    const records = kept();
    expect(records.map(({ step }) => step.also)).toEqual([['stack one']]);
    letGo();
    await Promise.all([first, again]);
    expect(planned).toEqual(['one a', 'two c', 'one b']);
    // As the next daemon finds it.
    for (const record of records) table.put(record);
    world.cells.delete('a');
    const next = stuck();
    const recovered = next.steps.recover();
    const third = next.steps.planned(about('one', 'd'), { mutex, things: ['stack one'] });
    await next.steps.planned(about('two', 'e'), { mutex, things: ['stack two'] });
    expect(planned.slice(3)).toEqual(['two e']);
    next.letGo();
    await Promise.all([recovered, third]);
    expect(planned.slice(3)).toEqual(['two e', 'one d']);
  });

  it('waits where it fails for what is under way alone, and for nothing where it fails anyway', async () => {
    const { letGo, steps, mutex } = stuck();
    const first = steps.planned(plan('a', 1), { mutex });
    const beside = async (underWay: readonly BareStep[]) => {
      if (underWay.length > 0) throw new Error('a is to have it');
      return { steps: [step('cell.set', 'b', 1, 0)] };
    };
    let isDone = false;
    const second = steps.planned(beside, { mutex }).then(() => {
      isDone = true;
    });
    const never = async () => {
      throw new Error('nobody has it');
    };
    await expect(steps.planned(never, { mutex })).rejects.toThrow('nobody has it');
    expect(isDone).toBe(false);
    letGo();
    await Promise.all([first, second]);
  });

  it('is not made of what changed while it was looked at', async () => {
    const { world, letGo, steps, mutex } = stuck();
    const first = steps.planned(plan('a', 1), { mutex });
    const seen: unknown[] = [];
    const slow = async () => {
      seen.push(world.cells.get('a'));
      letGo();
      await first;
      return { steps: [step('cell.set', 'a', 2, 0)] };
    };
    await steps.planned(slow, { mutex });
    expect(seen).toEqual([undefined, 1]);
  });

  it('waits for a change of what it uses, and is no obstacle to one', async () => {
    const { letGo, steps, mutex } = stuck();
    const uses = async () => ({ steps: [{ ...step('cell.set', 'b', 1, 0), uses: ['cell a'] }] });
    await steps.planned(uses, { mutex });
    const change = steps.planned(plan('a', 1), { mutex });
    const lines: string[] = [];
    const user = steps.planned(uses, { mutex, progress: (text) => void lines.push(text) });
    await steps.planned(plan('c', 1), { mutex });
    expect(lines).toContain('waiting for what is under way on the same');
    letGo();
    await Promise.all([change, user]);
  });
});

it('a kind without an executor, or without an undo, does not compile', () => {
  const executor: Executor<BareStep> = { check() {}, async run() {}, verify: () => true, afterCrash: 'finish' };
  type Bell = Step<BareStep<'bell.ring'>, BareStep<'bell.mute'>>;
  const all: Executors<Bell> = { 'bell.ring': executor, 'bell.mute': executor };
  // @ts-expect-error: nothing carries out what takes it back
  const some: Executors<Bell> = { 'bell.ring': executor };
  // @ts-expect-error: nothing carries it out
  const others: Executors<Bell> = { 'bell.mute': executor };
  const ring = { kind: 'bell.ring', name: 'a', text: 'ring', phase: 'move', byHand: 'mute it' } as const;
  // @ts-expect-error: nothing takes it back
  const without: Bell = ring;
  // @ts-expect-error: a kind says what takes it back, or that nothing does
  type Unsaid = Step<BareStep<'bell.ring'>>;
  // @ts-expect-error: what takes it back is another kind
  const wrong: Bell = { ...ring, undo: ring };
  const right: AnyStep = { ...ring, undo: null };
  expect([all, some, others, without, wrong, right, undefined as Unsaid | undefined]).toHaveLength(7);
});

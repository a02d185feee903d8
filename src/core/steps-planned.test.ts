/** Plans that are made and carried out while others act. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Mutex } from './mutex.ts';
import type { BareStep, Executors } from './step.ts';
import { type CellStep, CellStore, step, World } from './step-world.ts';

let store: CellStore;
const kept = () => store.kept();
const runner: CellStore['runner'] = (world, options) => store.runner(world, options);

beforeEach(() => {
  store = new CellStore();
});
afterEach(() => store[Symbol.dispose]());

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
    for (const record of records) store.table.put(record);
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

  it('waits after a crash for what was cut off of its own alone', async () => {
    const { letGo, steps, mutex } = stuck();
    const first = steps.planned(plan('a', 1), { mutex });
    await steps.planned(plan('b', 1), { mutex });
    const records = kept();
    letGo();
    await first;
    // As the next daemon finds it, with another batch behind.
    for (const record of records) {
      store.table.put(record);
      store.table.put({ ...record, id: 'other.1', batch: 'other', step: step('cell.set', 'b', 2, 0) });
    }
    const next = stuck();
    const recovered = next.steps.recover();
    await next.steps.planned(plan('b', 3), { mutex });
    expect([...next.world.cells]).toEqual([['b', 3]]);
    expect(kept().map(({ step }) => step.name)).toEqual(['a']);
    next.letGo();
    await recovered;
    expect(next.world.cells.get('a')).toBe(1);
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

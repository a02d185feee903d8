/** Steps that are submitted: their order, what is written of them, and who may act on what. */
import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Executors } from './step.ts';
import type { StepRecord } from './step-journal.ts';
import { type CellStep, CellStore, step, World } from './step-world.ts';

let store: CellStore;
const kept = () => store.kept();
const runner: CellStore['runner'] = (world, options) => store.runner(world, options);

beforeEach(() => {
  store = new CellStore();
});
afterEach(() => store[Symbol.dispose]());

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
        store.table.change(put, remove);
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

/** What is left of steps when something fails, or the process ends, anywhere. */
import { setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type CellStep, CellStore, type Fault, step, World } from './step-world.ts';

let store: CellStore;
const kept = () => store.kept();
const runner: CellStore['runner'] = (world, options) => store.runner(world, options);

beforeEach(() => {
  store = new CellStore();
});
afterEach(() => store[Symbol.dispose]());

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
    expect(store.told).toEqual([
      'a = 2, which was under way when the daemon ended, cannot be completed',
      'a = 2 was taken back: a = 1',
    ]);
  });

  it('a step of a kind that this version does not know is told and forgotten', async () => {
    store.table.put({
      ...{ id: 'x.1', batch: 'x', number: 1, state: 'begun', onFailure: 'keep' },
      step: { kind: 'moon.land', name: 'moon', phase: 'move', text: 'land', undo: null, byHand: '' },
    });
    await runner(new World()).recover();
    expect(kept()).toEqual([]);
    expect(store.told).toEqual([
      'land, which was under way when the daemon ended, cannot be completed',
      'land cannot be taken back',
    ]);
  });
});

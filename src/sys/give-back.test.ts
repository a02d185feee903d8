import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { giveBackMemory } from './give-back.ts';

beforeEach(() => void vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] }));
afterEach(() => void vi.useRealTimers());

it('gives back once it has grown and been at rest for a while', () => {
  const MIB = 2 ** 20;
  const state = { resident: 90 * MIB, busy: 0.9, released: 0 };
  const stop = giveBackMemory({
    lookMs: 1000,
    resident: () => state.resident,
    busy: () => state.busy,
    release() {
      state.released += 1;
      state.resident -= 10 * MIB;
    },
  });
  const looks = (count: number) => {
    vi.advanceTimersByTime(count * 1000);
    return state.released;
  };
  expect(looks(10)).toBe(0);
  state.busy = 0.1;
  expect(looks(4)).toBe(0);
  // A pause between two streams is no rest.
  state.busy = 0.3;
  expect(looks(1)).toBe(0);
  state.busy = 0.1;
  expect(looks(4)).toBe(0);
  expect(looks(1)).toBe(1);
  expect(looks(10)).toBe(1);
  state.resident += MIB;
  expect(looks(10)).toBe(1);
  state.resident += MIB;
  expect(looks(5)).toBe(2);
  state.resident += 20 * MIB;
  state.busy = 0.9;
  looks(1);
  state.busy = 0.1;
  // Not again and again.
  expect([looks(4), looks(1)]).toEqual([2, 3]);
  state.resident += 10 * MIB;
  stop();
  expect(looks(10)).toBe(3);
});

it('leaves a program alone that needs what it holds: each time it takes longer, until it has done something', () => {
  const MIB = 2 ** 20;
  const state = { busy: 0, looks: 0, released: [] as (readonly [number, boolean])[] };
  const stop = giveBackMemory({
    lookMs: 1000,
    // What it gives back is there again at the next look.
    resident: () => (state.released.at(-1)?.[0] === state.looks ? 40 * MIB : 50 * MIB),
    busy() {
      state.looks += 1;
      return state.busy;
    },
    release: (thoroughly) => void state.released.push([state.looks, thoroughly]),
    letGo() {},
  });
  const looks = (count: number) => {
    vi.advanceTimersByTime(count * 1000);
    return state.released.splice(0);
  };
  expect(looks(50)).toEqual([
    [5, true],
    [15, false],
    [35, false],
  ]);
  expect(looks(3000).length).toBeLessThan(15);
  state.busy = 0.5;
  looks(1);
  state.busy = 0;
  expect(looks(5)).toEqual([[3056, true]]);
  stop();
});

it('collects nothing where letting go of shared memory is enough, and counts what is left of it as grown', () => {
  const MIB = 2 ** 20;
  const state = { own: 50 * MIB, shared: 0, released: 0, letGo: 0 };
  const stop = giveBackMemory({
    lookMs: 1000,
    resident: () => state.own + state.shared,
    busy: () => 0,
    release: () => {
      state.released += 1;
    },
    letGo() {
      state.letGo += 1;
      state.shared = 0;
    },
  });
  const looks = (count: number) => {
    vi.advanceTimersByTime(count * 1000);
    return [state.letGo, state.released];
  };
  expect(looks(5)).toEqual([1, 1]);
  state.shared = 30 * MIB;
  expect(looks(5)).toEqual([2, 1]);
  // A little garbage each time is seen once it is worth it.
  state.own += 1.5 * MIB;
  state.shared = MIB;
  expect(looks(5)).toEqual([3, 1]);
  state.own += 1.5 * MIB;
  expect(looks(5)).toEqual([4, 2]);
  stop();
});

it('does it in this process', () => {
  const stop = giveBackMemory({ lookMs: 1, resident: () => 1e9, busy: () => 0 });
  expect(() => vi.advanceTimersByTime(5)).not.toThrow();
  stop();
});

import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { giveBackMemory } from './give-back.ts';

beforeEach(() => void vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] }));
afterEach(() => void vi.useRealTimers());

it('gives back once it has grown, and only while there is time', () => {
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
  const look = () => {
    vi.advanceTimersByTime(1000);
    return state.released;
  };
  expect(look()).toBe(0);
  state.busy = 0.1;
  expect([look(), look()]).toEqual([1, 1]);
  for (let count = 0; count < 10; count++) look();
  state.resident += MIB;
  expect(look()).toBe(1);
  state.resident += MIB;
  expect([look(), look()]).toEqual([2, 2]);
  state.resident += 20 * MIB;
  // Not again and again.
  expect([look(), look(), look(), look()]).toEqual([2, 2, 2, 3]);
  state.resident += 10 * MIB;
  stop();
  expect(look()).toBe(3);
});

it('does it in this process', () => {
  const stop = giveBackMemory({ lookMs: 1, resident: () => 1e9, busy: () => 0 });
  expect(() => vi.advanceTimersByTime(1)).not.toThrow();
  stop();
});

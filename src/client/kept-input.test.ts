import { expect, it } from 'vitest';
import { KeptInput } from './kept-input.ts';

const text = (kept: KeptInput) => Buffer.concat(kept.again() ?? []).toString();

it('holds what was not passed on, whatever the pieces', () => {
  const kept = new KeptInput();
  for (const piece of ['abc', 'd', '', 'efgh']) kept.add(Buffer.from(piece));
  kept.taken(0);
  kept.taken(5);
  // Told again, or late: nothing more goes.
  kept.taken(5);
  kept.taken(2);
  expect(text(kept)).toBe('fgh');
  // Another daemon counts from what it is sent.
  kept.add(Buffer.from('ij'));
  kept.taken(4);
  expect(text(kept)).toBe('j');
  kept.taken(100);
  expect([text(kept), kept.isWhole]).toEqual(['', true]);
});

it('gives up on a daemon that never says what it has passed on', () => {
  const kept = new KeptInput();
  const piece = Buffer.alloc(2 ** 20);
  for (let pieces = 0; pieces < 8; pieces += 1) kept.add(piece);
  expect(kept.isWhole).toBe(true);
  kept.add(Buffer.from('x'));
  expect([kept.isWhole, kept.again()]).toEqual([false, undefined]);
});

it('holds some of what was passed on, for a guest that has it not after all', () => {
  const kept = new KeptInput();
  const piece = Buffer.alloc(2 ** 19, 'x');
  for (let pieces = 0; pieces < 5; pieces += 1) {
    kept.add(piece);
    kept.taken(piece.length * (pieces + 1));
  }
  kept.add(Buffer.from('end'));
  expect(kept.again(2 ** 19)).toBeUndefined();
  expect(kept.again(5 * 2 ** 19 + 4)).toBeUndefined();
  const again = Buffer.concat(kept.again(4 * 2 ** 19 - 1) ?? []);
  expect([again.length, again.subarray(-4).toString()]).toEqual([2 ** 19 + 4, 'xend']);
  // It is what the next daemon was sent.
  kept.taken(2 ** 19 + 2);
  expect(text(kept)).toBe('nd');
});

import { expect, it } from 'vitest';
import { KeptInput } from './kept-input.ts';

const text = (kept: KeptInput) => Buffer.concat(kept.again()).toString();

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
  expect([kept.isWhole, kept.again()]).toEqual([false, []]);
});

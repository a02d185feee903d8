import { expect, it } from 'vitest';
import { pieceOf, reuse, withHead } from './pieces.ts';

const long = (text: string) => Buffer.alloc(65_536, text);

it('puts the head before a piece where that lies', () => {
  const piece = pieceOf(long('some'));
  const message = withHead(2, piece);
  expect(message.buffer).toBe(piece.buffer);
  expect(message[0]).toBe(2);
  expect(message.subarray(1).equals(long('some'))).toBe(true);
});

it.each([
  ['a part', () => pieceOf(long('some')).subarray(4)],
  ['what is short', () => pieceOf(Buffer.from('some'))],
  [
    'what is given back',
    () => {
      const piece = pieceOf(long('some'));
      reuse(piece);
      return piece;
    },
  ],
  ['what others have made', () => Buffer.from(new Uint8Array(65_537).fill(115).buffer, 1)],
])('copies %s', (_what, make) => {
  const piece = make();
  const before = Buffer.from(piece);
  const message = withHead(1, piece);
  expect(message.subarray(1).equals(before)).toBe(true);
  expect(piece.equals(before)).toBe(true);
});

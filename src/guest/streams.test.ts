import { expect, it } from 'vitest';
import { OutputStream } from './streams.ts';

it('passes large pieces on as they are, and small ones together', () => {
  let consumed = 0;
  const output = new OutputStream((bytes) => {
    consumed += bytes;
  });
  const large = [Buffer.alloc(65_536, 'a'), Buffer.alloc(40_000, 'b')];
  const all = [Buffer.from('one'), Buffer.from('two'), ...large, Buffer.from('three'), Buffer.alloc(5000, 'c')];
  for (const piece of all) output.accept(piece);
  output.finish();
  const pieces: Buffer[] = [];
  for (let piece = output.read() as Buffer | null; piece !== null; piece = output.read()) pieces.push(piece);
  expect(Buffer.concat(pieces).equals(Buffer.concat(all))).toBe(true);
  expect(pieces.map(String)).toEqual(['onetwo', ...large.map(String), 'three', 'c'.repeat(5000)]);
  expect(pieces[1]!.buffer).toBe(large[0]!.buffer);
  expect(consumed).toBe(Buffer.concat(all).length);
});

import { describe, expect, it } from 'vitest';
import { LineStamps } from './line-stamps.ts';

/** Pieces of `[time, stream, text]`, as they are shown on one terminal. */
function shown(pieces: readonly [string, 'out' | 'err', string][]): string {
  const stamps = new LineStamps();
  const parts = pieces.map(([t, s, text]) => stamps.push({ t, s }, Buffer.from(text)));
  return Buffer.concat([...parts, ...[...stamps.rest()].map(([, bytes]) => bytes)]).toString();
}

describe('line stamps', () => {
  it('stand at the beginning of each line, however it is cut into pieces, with the time of its first byte', () => {
    const text = Array.from({ length: 300 }, (_, index) => `line ${index}\n`).join('');
    for (const size of [1, 7, 100, 1e6]) {
      const pieces: [string, 'out', string][] = [];
      for (let at = 0; at < text.length; at += size) pieces.push([`T${at}`, 'out', text.slice(at, at + size)]);
      const lines = shown(pieces).split('\n').slice(0, -1);
      expect(lines.map((line) => line.replace(/^T\d+ /, ''))).toEqual(text.split('\n').slice(0, -1));
      let at = 0;
      for (const line of lines) {
        expect(line.startsWith(`T${Math.floor(at / size) * size} line`)).toBe(true);
        at += line.replace(/^T\d+ /, '').length + 1;
      }
    }
  });

  it('never stand inside a line of the other stream', () => {
    expect(
      shown([
        ['1', 'out', 'half of '],
        ['2', 'err', 'an error\nand '],
        ['3', 'out', 'a line\nthe last'],
        ['4', 'err', 'more\n'],
      ]),
    ).toBe('2 an error\n1 half of a line\n2 and more\n3 the last');
  });

  it('keep empty lines, and are left out where there is no time', () => {
    expect(shown([['1', 'out', '\n\na\n']])).toBe('1 \n1 \n1 a\n');
    expect(shown([['', 'out', 'console\n']])).toBe('console\n');
  });

  it('hold back no more than 64 KiB of a line, and stamp it once', () => {
    const stamps = new LineStamps();
    const piece = { t: '1', s: 'out' } as const;
    let text = '';
    for (let time = 0; time < 100; time++) text += stamps.push(piece, Buffer.alloc(1000, 'x')).toString();
    expect(text.length).toBeGreaterThan(30_000);
    text += stamps.push(piece, Buffer.from('\ny\n')).toString();
    expect(text).toBe(`1 ${'x'.repeat(100_000)}\n1 y\n`);
  });
});

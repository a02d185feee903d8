import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Following } from '../../src/instance/log-file.ts';
import { readConsole } from '../../src/instance/log-reader.ts';

const MIB = 2 ** 20;
const ended: Following = { over: () => true, changed: async () => {} };
let directory: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'pk-log-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

/** What is read, in how many pieces, and how often everything else had a turn meanwhile. */
async function read(older: string, newer: string, tail?: number) {
  const path = join(directory, 'console.log');
  writeFileSync(`${path}.1`, older);
  writeFileSync(path, newer);
  let turns = 0;
  let goes = true;
  const count = () => {
    turns += 1;
    if (goes) setImmediate(count);
  };
  count();
  const pieces: string[] = [];
  for await (const { d } of readConsole(path, { tail }, ended, new AbortController().signal)) pieces.push(d ?? '');
  goes = false;
  return { text: pieces.join(''), pieces, turns };
}

it.each([
  ['a\nb\n', 'c\nd\n', undefined, 'a\nb\nc\nd\n'],
  ['a\nb\n', 'c\nd\n', 0, ''],
  ['a\nb\n', 'c\nd\n', 1, 'd\n'],
  ['a\nb\n', 'c\nd\n', 2, 'c\nd\n'],
  ['a\nb\n', 'c\nd\n', 3, 'b\nc\nd\n'],
  ['a\nb\n', 'c\nd\n', 4, 'a\nb\nc\nd\n'],
  ['a\nb\n', 'c\nd\n', 9, 'a\nb\nc\nd\n'],
  ['a\n', '', 1, 'a\n'],
  ['', 'a\nb', 1, 'b\n'],
  ['', '\n\n\n', 2, '\n\n'],
])('of %j and %j the last %s lines are %j', async (older, newer, tail, text) => {
  expect((await read(older, newer, tail)).text).toBe(text);
});

it.each([
  ['empty lines', '\n'.repeat(4 * MIB)],
  ['one long line', 'x'.repeat(4 * MIB)],
])('the tail of %s is read in slices, between which everything else goes on', async (_what, newer) => {
  const { text, pieces, turns } = await read('', newer, 1_000_000);
  expect(text.length).toBe(newer.startsWith('\n') ? 1_000_000 : 4 * MIB + 1);
  expect(Math.max(...pieces.map(({ length }) => length))).toBeLessThanOrEqual(64 * 1024);
  // Once for each block at least.
  expect(turns).toBeGreaterThanOrEqual(newer.startsWith('\n') ? 16 : 64);
});

it('a character between two blocks stays whole', async () => {
  const line = `${'ä'.repeat(50_000)}\n`;
  expect((await read('', `x${line}`)).text).toBe(`x${line}`);
});

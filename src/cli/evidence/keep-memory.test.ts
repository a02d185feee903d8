import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { writeSparse } from './keep-memory.ts';

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'pk-keep-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

async function* given(pieces: readonly Buffer[]): AsyncGenerator<Buffer> {
  yield* pieces;
}

it('what comes is in the file, and what is zero takes no room', async () => {
  const pieces = [Buffer.from('begin'), Buffer.alloc(2 ** 20), Buffer.from('middle'), Buffer.alloc(2 ** 20)];
  const path = join(directory, 'sparse');
  await using file = await open(path, 'w');
  const bytes = await writeSparse(file, given(pieces), 2 ** 22, () => {});
  expect(readFileSync(path).equals(Buffer.concat(pieces))).toBe(true);
  expect(bytes).toBe(Buffer.concat(pieces).length);
  expect(statSync(path).blocks * 512).toBeLessThan(2 ** 20);
});

it('more than was said is not written', async () => {
  await using file = await open(join(directory, 'more'), 'w');
  await expect(
    writeSparse(file, given([Buffer.alloc(60, 1), Buffer.alloc(60, 1)]), 100, () => {}),
  ).rejects.toMatchObject({
    code: 'internal',
  });
});

/** Both ends of a control line that is a console as well: what is sent comes, whatever the line loses, cuts or mixes in. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { findCompiler } from '../../scripts/setup/native.ts';
import { run } from '../../src/sys/process.ts';

const ROOT = join(import.meta.dirname, '../..');
const BYTES = 60_000;
/** What the host kernel keeps of a console for who reads it, in bytes. */
const KEPT = 16 * 1024;

let directory: string;
let program: string;
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'pk-segments-'));
  program = join(directory, 'segments');
  const { argv, env } = findCompiler(directory);
  const sources = ['test/fixtures/segments.c', 'native/common/segments.c', 'native/common/crc.c'];
  const flags = ['-std=gnu11', '-O1', '-Wall', '-Wextra', '-Werror', '-static', '-o', program];
  const { code, stderr } = await run([...argv, ...flags, ...sources.map((path) => join(ROOT, path))], { env });
  expect([code, stderr]).toEqual([0, '']);
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

it.each([1, 2, 3, 4])('brings all in order over a bad line (%i)', (seed) => {
  const said = execFileSync(program, [String(seed), String(BYTES)], { encoding: 'utf8' });
  const [first, second, text, most] = said.trim().split(' ').map(Number);
  expect([first, second]).toEqual([BYTES, BYTES]);
  // The console's text is told apart.
  expect(text).toBeGreaterThan(1000);
  expect(most).toBeLessThan(KEPT);
});

/** Both ends of a control line that is a console as well: what is sent comes, whatever the line loses, cuts or mixes in. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findCompiler } from '../../scripts/setup/native.ts';
import { run } from '../../src/sys/process.ts';

const ROOT = join(import.meta.dirname, '../..');
const BYTES = 60_000;
/** What the host kernel keeps of a console for who reads it, in bytes. */
const KEPT = 16 * 1024;

let directory: string;
const program = (name: string) => join(directory, name);
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'pk-segments-'));
  const { argv, env } = findCompiler(directory);
  const common = ['segments', 'crc', 'ways'].map((name) => `native/common/${name}.c`);
  for (const name of ['segments', 'ways']) {
    const sources = [`test/fixtures/${name}.c`, ...common].map((path) => join(ROOT, path));
    const flags = ['-std=gnu11', '-O1', '-Wall', '-Wextra', '-Werror', '-static', '-o', program(name)];
    const { code, stderr } = await run([...argv, ...flags, ...sources], { env });
    expect([code, stderr]).toEqual([0, '']);
  }
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

it.each([1, 2, 3, 4])('brings all in order over a bad line (%i)', (seed) => {
  const said = execFileSync(program('segments'), [String(seed), String(BYTES)], { encoding: 'utf8' });
  const [first, second, text, most] = said.trim().split(' ').map(Number);
  expect([first, second]).toEqual([BYTES, BYTES]);
  // The console's text is told apart.
  expect(text).toBeGreaterThan(1000);
  expect(most).toBeLessThan(KEPT);
});

describe('with a second line', () => {
  const over = (seed: number, how: string) =>
    execFileSync(program('ways'), [String(seed), String(BYTES), how], { encoding: 'utf8' })
      .trim()
      .split(' ')
      .map(Number);

  it.each([1, 2, 3, 4])('all passes there once both ends hear each other (%i)', (seed) => {
    const [first, second, passed] = over(seed, 'works');
    expect([first, second]).toEqual([BYTES, BYTES]);
    expect(passed).toBeGreaterThan(2 * BYTES * 0.9);
  });

  it.each(['ends', 'silent', 'deaf', 'mute'])('nothing is lost, doubled or late for ever when it %s', (how) => {
    for (let seed = 1; seed <= 4; seed++) {
      const [first, second, passed] = over(seed, how);
      expect([first, second]).toEqual([BYTES, BYTES]);
      expect(passed).toBeLessThan(2 * BYTES);
    }
  });
});

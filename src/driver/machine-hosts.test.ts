import { chmodSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { machineHosts } from './machine-hosts.ts';

const directory = mkdtempSync(join(tmpdir(), 'pk-hosts-'));
afterAll(() => rmSync(directory, { recursive: true }));

it.each([
  ['short text', '127.0.0.1 localhost\n', 0o644, true],
  ['nothing', '', 0o644, true],
  ['what not everybody may read', '127.0.0.1 localhost\n', 0o640, false],
  ['more than fits a message', '127.0.0.1 localhost\n'.repeat(40), 0o644, false],
  ['what would end a field of a step', '127.0.0.1 a\x1fb\n', 0o644, false],
  ['what would end a step', '127.0.0.1 a\0b\n', 0o644, false],
])('gives %s, or leaves it to the guest', (name, text, mode, isGiven) => {
  const file = join(directory, name);
  writeFileSync(file, text);
  chmodSync(file, mode);
  expect(machineHosts(file)).toBe(isGiven ? text : undefined);
});

it('leaves what is no file, and nothing, to the guest', () => {
  symlinkSync(directory, join(directory, 'link'));
  for (const name of ['link', 'absent']) expect(machineHosts(join(directory, name))).toBeUndefined();
});

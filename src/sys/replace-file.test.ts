import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { finishedFiles, replaceFile } from './replace-file.ts';

const directory = mkdtempSync(join(tmpdir(), 'pk-replace-'));
afterAll(() => rmSync(directory, { recursive: true }));

it('replaces a file as a whole, for this user alone', () => {
  const path = join(directory, 'note');
  replaceFile(path, 'a longer text');
  replaceFile(path, 'text');
  expect(readFileSync(path, 'utf8')).toBe('text');
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(readdirSync(directory)).toEqual(['note']);
});

it('leaves what another is writing, and nothing of one that was killed', () => {
  for (const name of ['note.1~', 'note.2~']) writeFileSync(join(directory, name), 'te');
  utimesSync(join(directory, 'note.2~'), 0, 0);
  expect(finishedFiles(directory)).toEqual(['note']);
  expect(readdirSync(directory).toSorted()).toEqual(['note', 'note.1~']);
});

/** Where `pk core save` writes to, and what is left when that fails. */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { replaceFile } from './replace-file.ts';
import { saveText } from './save.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'pk-save-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

const modeOf = (path: string) => statSync(path).mode & 0o777;

it("makes a file its owner alone may read, and what is no file keeps its mode: /dev/null is everybody's", async () => {
  const path = join(directory, 'core');
  writeFileSync(path, 'old', { mode: 0o644 });
  await saveText(path, 'new');
  expect(modeOf(path)).toBe(0o600);
  const fifo = join(directory, 'fifo');
  execFileSync('mkfifo', [fifo]);
  chmodSync(fifo, 0o666);
  const reader = openSync(fifo, constants.O_RDONLY | constants.O_NONBLOCK);
  await saveText(fifo, 'text');
  closeSync(reader);
  expect(modeOf(fifo)).toBe(0o666);
});

it('leaves no memory where the description of it cannot be written', async () => {
  const memory = join(directory, 'x.memory');
  writeFileSync(memory, 'secrets');
  await expect(saveText(join(directory, 'no/x'), 'text', memory)).rejects.toThrow('writing');
  expect(existsSync(memory)).toBe(false);
});

it('gives nothing to who had a file of that name open before, or has another name for it', async () => {
  const path = join(directory, 'core');
  writeFileSync(path, '', { mode: 0o666 });
  linkSync(path, join(directory, 'other'));
  const before = openSync(path, 'r');
  await saveText(path, 'secrets');
  expect(readFileSync(before, 'utf8')).toBe('');
  closeSync(before);
  expect(readFileSync(join(directory, 'other'), 'utf8')).toBe('');
  expect(readFileSync(path, 'utf8')).toBe('secrets');
  expect(readdirSync(directory).sort()).toEqual(['core', 'other']);
});

it.runIf(process.getuid?.() === 0)(
  "owns the file in place of another user's, and writes into no FIFO of theirs",
  async () => {
    const path = join(directory, 'core');
    writeFileSync(path, '', { mode: 0o666 });
    chownSync(path, 65534, 65534);
    await saveText(path, 'secrets');
    expect(statSync(path)).toMatchObject({ uid: 0, size: 7 });
    const fifo = join(directory, 'fifo');
    execFileSync('mkfifo', [fifo]);
    chownSync(fifo, 65534, 65534);
    const reader = openSync(fifo, constants.O_RDONLY | constants.O_NONBLOCK);
    await expect(saveText(fifo, 'secrets')).rejects.toMatchObject({
      code: 'permission',
      field: '--output',
      value: fifo,
    });
    closeSync(reader);
  },
);

it('leaves nothing begun where the directory is exchanged while it is written', async () => {
  const given = join(directory, 'given');
  mkdirSync(given);
  await replaceFile(join(given, 'core'), async (file) => {
    await file.writeFile('secrets');
    renameSync(given, join(directory, 'moved'));
    mkdirSync(given);
    writeFileSync(join(given, 'core.new'), 'theirs');
  });
  expect(readFileSync(join(directory, 'moved/core'), 'utf8')).toBe('secrets');
  expect([readdirSync(join(directory, 'moved')), readdirSync(given)]).toEqual([['core'], ['core.new']]);
});

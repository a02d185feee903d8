import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { readMost } from './small-file.ts';

const directory = mkdtempSync(join(tmpdir(), 'pk-small-file-'));
afterAll(() => rmSync(directory, { recursive: true }));

describe('a file that a process decides the length of', () => {
  it('is read to its end, in as many pieces as that takes', () => {
    const path = join(directory, 'long');
    const text = Array.from({ length: 50_000 }, (_, at) => `${at} `).join('');
    writeFileSync(path, text);
    expect(readMost(path, 2 ** 20)).toBe(text);
  });

  it('is read no further than its bound', () => {
    expect(readMost('/dev/zero', 100_000)).toHaveLength(100_000);
  });

  it('is none where it cannot be read', () => {
    expect(readMost(join(directory, 'none'), 10)).toBeUndefined();
    expect(readMost(directory, 10)).toBeUndefined();
  });
});

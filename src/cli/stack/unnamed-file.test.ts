import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { readVariables } from './file.ts';
import { openUnnamed } from './unnamed-file.ts';

const isRoot = process.getuid?.() === 0;
const OTHER = 64_321;

const made: string[] = [];
afterEach(() => {
  for (const each of made.splice(0)) rmSync(each, { recursive: true });
});
function directory(mode: number): string {
  const path = mkdtempSync(join(tmpdir(), 'pk-unnamed-'));
  made.push(path);
  chmodSync(path, mode);
  return path;
}
const read = async (at: string, files: string[] = []) => Object.fromEntries(await readVariables(files, at, {}));

describe('a file that counts because it is there', () => {
  it('is waited for by nobody where it is none', async () => {
    const at = directory(0o700);
    execFileSync('mkfifo', [join(at, '.env')]);
    await expect(read(at)).rejects.toMatchObject({ code: 'invalid', message: expect.stringContaining('is no file') });
  });

  it.each([0o700, 0o1777])('may be the own one, in a directory of mode %o', async (mode) => {
    const at = directory(mode);
    expect(await read(at)).toEqual({});
    writeFileSync(join(at, '.env'), 'A=1\n');
    expect(await read(at)).toEqual({ A: '1' });
  });

  it('may be a link, but not where everybody may make links', async () => {
    for (const mode of [0o700, 0o1777]) {
      const at = directory(mode);
      writeFileSync(join(at, 'real'), 'A=1\n');
      symlinkSync('real', join(at, '.env'));
      if (mode === 0o700) expect(await read(at)).toEqual({ A: '1' });
      else
        await expect(read(at)).rejects.toMatchObject({
          code: 'permission',
          hint: expect.stringContaining('--env-file'),
        });
    }
  });

  it.runIf(isRoot)("is no other user's where everybody may make files, unless it is named", async () => {
    const at = directory(0o1777);
    const path = join(at, '.env');
    writeFileSync(path, 'DATA=/etc\n');
    chownSync(path, OTHER, OTHER);
    await expect(read(at)).rejects.toMatchObject({ code: 'permission', value: path });
    expect(() => openUnnamed(path, '--file', '')).toThrow(/is of user 64321/);
    expect(await read(at, [path])).toEqual({ DATA: '/etc' });
    // What lies in somebody's own directory is his.
    chmodSync(at, 0o755);
    expect(await read(at)).toEqual({ DATA: '/etc' });
  });
});

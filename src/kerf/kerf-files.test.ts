import { chownSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { checkIdle, readImage } from './kerf-files.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'pk-kerf-files-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const files = () => ({ instances: directory, locks: [join(directory, 'lock')] });
function said(text: string) {
  writeFileSync(join(directory, 'web.json'), text);
  return readImage(files(), 'web');
}

it('reads what kerf says in its versions, as far as it says it', () => {
  const kernel = { path: '/k', size: 1, sha256: 'ab', format: 'bzImage', compression: 'zstd', version: '7.0' };
  const rootfs = { source: 'directory', image: null, path: '/r', entrypoint: null };
  expect(said(JSON.stringify({ kernel, initrd: '/i', rootfs, loaded_at: '2026-11-01T10:00:00Z' }))).toEqual({
    ...{ kernel: '/k', version: '7.0', sha256: 'ab', initrd: '/i', root: '/r', loadedAt: '2026-11-01T10:00:00Z' },
  });
  expect(said(JSON.stringify({ kernel, initrd: { path: '/j' }, rootfs: null }))).toEqual({
    ...{ kernel: '/k', version: '7.0', sha256: 'ab', initrd: '/j' },
  });
  expect(readImage(files(), 'nobody')).toEqual({});
});

it('takes nothing from what is none, too long, or of another form', () => {
  for (const text of [
    '',
    '{',
    '[]',
    'null',
    '7',
    '{"kernel": {"path": ["/k"]}}',
    '{"__proto__": {"kernel": {"path": "/k"}}}',
  ])
    expect(said(text)).toEqual({});
  expect(said(JSON.stringify({ kernel: { path: 'x'.repeat(5000) } }))).toEqual({});
  expect(said(`{"loaded_at": "now"${' '.repeat(300_000)}}`)).toEqual({});
  fc.assert(
    fc.property(fc.json(), (text) => {
      for (const value of Object.values(said(text))) expect(value).toBeTypeOf('string');
    }),
    { numRuns: 50 },
  );
});

it('says which file says that kerf is at work', () => {
  checkIdle(files());
  writeFileSync(join(directory, 'lock'), '');
  expect(() => checkIdle(files())).toThrow(`kerf is changing something (${join(directory, 'lock')} is there)`);
});

it.runIf(process.getuid?.() === 0)(
  'takes no file for it that another user has made, of which one would be there for good',
  () => {
    const lock = join(directory, 'lock');
    writeFileSync(lock, '');
    chownSync(lock, 65_534, 65_534);
    checkIdle(files());
    rmSync(lock);
    symlinkSync(join(directory, 'nowhere'), lock);
    expect(() => checkIdle(files())).toThrow('kerf is changing something');
  },
);

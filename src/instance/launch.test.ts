import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { layout } from '../sys/paths.ts';
import { kernelDirectory, unmappedOf } from './launch.ts';

it('reads all of the report of what could not be mapped, however much precedes the volume', () => {
  const home = mkdtempSync(join(tmpdir(), 'pk-launch-'));
  const paths = layout(home);
  const id = 'a'.repeat(32);
  expect(unmappedOf(paths, id)).toEqual([]);
  mkdirSync(kernelDirectory(paths, id), { recursive: true });
  const mounts = Array.from(
    { length: 100 },
    (_, index) => `root ro /mnt/${'x'.repeat(80)}${index}: Invalid argument\n`,
  );
  writeFileSync(join(kernelDirectory(paths, id), 'unmapped'), `${mounts.join('')}vol0 rw /nfs: Invalid argument\n`);
  const unmapped = unmappedOf(paths, id);
  rmSync(home, { recursive: true });
  expect(unmapped).toHaveLength(101);
  expect(unmapped.at(-1)).toEqual({ path: '/nfs', readOnly: false, reason: 'Invalid argument' });
});

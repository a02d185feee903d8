/** Snapshots of a machine that were made to lead their reader astray: none is waited for, opened as a device, or read without end. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { openConfigSpace, readHostCache } from './index.ts';

const ADDRESS = '0000:00:01.0';
let root: string;
let directory: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'pk-attribute-'));
  directory = join(root, 'sys/bus/pci/devices', ADDRESS);
  mkdirSync(directory, { recursive: true });
});
afterEach(() => rmSync(root, { recursive: true }));

it('takes a FIFO, a link to a device and a directory for what is not there', () => {
  execFileSync('mkfifo', [join(directory, 'vendor'), join(directory, 'aer_dev_fatal')]);
  symlinkSync('/dev/zero', join(directory, 'device'));
  mkdirSync(join(directory, 'class'));
  writeFileSync(join(directory, 'revision'), '0x5\n');
  using space = openConfigSpace({ root });
  expect(space.facts(ADDRESS)).toMatchObject({ vendor: 0, device: 0, class: 0, revision: 5 });
  expect(space.health(ADDRESS).errors).toBeNull();
});

it.each(['FIFO', 'link'])('opens no configuration space that is a %s', (kind) => {
  if (kind === 'FIFO') execFileSync('mkfifo', [join(directory, 'config')]);
  else symlinkSync('/dev/zero', join(directory, 'config'));
  using space = openConfigSpace({ root });
  expect(() => space.function(ADDRESS)).toThrow(expect.objectContaining({ code: 'not-found', field: 'address' }));
});

it("reads figures of the kernel's cache line by line, whatever is in them", () => {
  const cache = join(root, 'sys/bus/pci/pcsc');
  mkdirSync(cache);
  writeFileSync(join(cache, 'enabled'), '1\n');
  // A pattern for all lines at once took hours for this.
  writeFileSync(join(cache, 'stats'), ' '.repeat(65_536));
  expect(readHostCache(root)).toEqual({ enabled: true, statistics: {} });
  writeFileSync(join(cache, 'stats'), `Cache Hits: 12\n  Cache Misses :3 \n:\nno figure\n: 4\n${'n'.repeat(81)}: 5\n`);
  expect(readHostCache(root)).toEqual({ enabled: true, statistics: { 'Cache Hits': '12', 'Cache Misses': '3' } });
});

/** What the UML driver opens for a kernel is closed whatever becomes of the start. No kernel is booted here. */
import { mkdtempSync, readdirSync, readlinkSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { SharedRegion } from '../../src/driver/driver.ts';
import { FAKE_IMAGE } from '../../src/driver/fake/traits.ts';
import { UmlDriver } from '../../src/driver/uml/driver.ts';
import { toolPath } from '../../src/sys/tools.ts';
import { launchSpec } from '../support/launch-spec.ts';

/** Files that this process has open in a directory. */
function openFiles(directory: string): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const path = readlinkSync(`/proc/self/fd/${fd}`);
      return path.startsWith(directory) ? [path] : [];
    } catch {
      return [];
    }
  });
}

test('a start that fails between two descriptors leaves none open', async () => {
  const directory = realpathSync(mkdtempSync(join(tmpdir(), 'pk-fds-')));
  try {
    writeFileSync(join(directory, 'memory'), 'x');
    const region = (name: string, slot: number): SharedRegion => ({
      id: String(slot).repeat(32),
      name,
      path: join(directory, name),
      bytes: 4096,
      slot,
      side: 'send',
    });
    const spec = launchSpec({
      directory,
      memoryBytes: 64 * 2 ** 20,
      image: { ...FAKE_IMAGE, kind: 'uml', kernel: toolPath('tar').path },
      root: { kind: 'directory', path: directory },
      identity: { kind: 'single' },
      readyTimeoutMs: 10_000,
      regions: [region('memory', 0), region('missing', 1)],
    });
    await expect(new UmlDriver().start(spec, new AbortController().signal)).rejects.toThrow(/missing/);
    expect(openFiles(directory)).toEqual([]);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

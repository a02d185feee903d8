import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { type LimitGroup, limitMechanism } from '../../sys/limit-groups.ts';
import type { SharedRegion } from '../driver.ts';
import { allowRegion, applyLimits, realLimits, releaseRegions, removeLimits, sweepLaunchGroups } from './limits.ts';

const MIB = 2 ** 20;
const LIMITS = { processes: 16, memoryBytes: 32 * MIB, overheadBytes: 16 * MIB, openFiles: 64, dataBytes: 32 * MIB };
const hasGroups = limitMechanism().groups.length > 0;
const made: string[] = [];
afterEach(() => {
  for (const directory of made.splice(0)) rmSync(directory, { recursive: true, force: true });
  sweepLaunchGroups();
});

/** The groups of a launch that was limited, and where it lies. */
function launch(regions: readonly { id: string; bytes: number }[] = []): { directory: string; paths: string[] } {
  const directory = mkdtempSync(join(tmpdir(), 'pk-limits-'));
  made.push(directory);
  const id = randomBytes(16).toString('hex');
  applyLimits({ id, directory, regions: regions as readonly SharedRegion[] }, LIMITS, false);
  const { groups } = JSON.parse(readFileSync(join(directory, 'limits.json'), 'utf8')) as { groups: LimitGroup[] };
  return { directory, paths: groups.map(({ path }) => path) };
}
const left = (paths: readonly string[]) => paths.filter((path) => existsSync(path));

it.runIf(hasGroups)('groups of launches that are gone are removed, and no others', async () => {
  const [gone, kept, running] = [launch(), launch(), launch()];
  const child = spawn('sleep', ['1000'], { stdio: 'ignore' });
  try {
    await once(child, 'spawn');
    for (const path of running.paths) writeFileSync(join(path, 'cgroup.procs'), String(child.pid));
    for (const { directory } of [gone, running]) rmSync(directory, { recursive: true });
    sweepLaunchGroups();
    expect([gone, kept, running].map(({ paths }) => left(paths).length > 0)).toEqual([false, true, true]);
    expect(left(running.paths)).toEqual(running.paths);
  } finally {
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  // The host kernel lets go of the last process a moment later.
  const swept = () => {
    sweepLaunchGroups();
    return left(running.paths);
  };
  await expect.poll(swept, { timeout: 10_000 }).toEqual([]);
  await removeLimits(kept.directory);
  expect(left(kept.paths)).toEqual([]);
});

it('a kernel may have the memory of as many channels as it had at once, however many come and go', async () => {
  const { directory } = launch();
  const most = () => (realLimits(directory)!.memoryBytes - LIMITS.memoryBytes) / MIB;
  const isThere = new Set<string>();
  const show = (id: string, mib: number) => {
    isThere.add(id);
    allowRegion(directory, { id, bytes: mib * MIB });
    return most();
  };
  expect([show('a', 8), show('a', 8), show('b', 4)]).toEqual([8, 8, 12]);
  for (let round = 0; round < 3; round++) {
    isThere.delete(round === 0 ? 'a' : `c${round - 1}`);
    releaseRegions(directory, (id) => isThere.has(id));
    expect(show(`c${round}`, 8)).toBe(12);
  }
  expect(show('d', 2)).toBe(14);
  await removeLimits(directory);
});

it('channels that it was started with count as much when they go as when they came', async () => {
  const { directory } = launch([1, 2].map((at) => ({ id: `small-${at}`, bytes: MIB / 4 })));
  releaseRegions(directory, () => false);
  allowRegion(directory, { id: 'next', bytes: MIB });
  expect(realLimits(directory)!.memoryBytes - LIMITS.memoryBytes).toBe(MIB / 2);
  await removeLimits(directory);
});

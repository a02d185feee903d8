/** A machine for tests of the driver without kernels that run: the model of the host kernel's interface, and what is taken of it. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect } from 'vitest';
import { KernelFiles } from '../../../src/driver/multikernel/interface.ts';
import { MachinePart } from '../../../src/driver/multikernel/machine.ts';
import { Emulator } from './emulator.ts';
import { spawnKernel } from './images.ts';
import type { ModelState } from './main.ts';
import { MACHINE, type ModelMachine, type Switches } from './switches.ts';

export const MIB = 2 ** 20;
export const never = new AbortController().signal;

export let home: string;
export let emulator: Emulator;
/** As the driver keeps them. */
export let files: KernelFiles;
/** One for all tests of a `describe`, each of which leaves it as it was. */
export function onMachine(switches: Partial<Switches>, machine: Partial<ModelMachine> = {}): void {
  beforeAll(async () => {
    emulator = await Emulator.start({ guests: 'none', switches, machine: { ...MACHINE, ...machine } });
    emulator.hurry();
    files = new KernelFiles(emulator.host.root);
  });
  beforeEach(() => {
    home = mkdtempSync(join(tmpdir(), 'pk-mk-unit-'));
    new MachinePart(emulator.host, 'look', home).cpus.read();
  });
  afterEach(async () => {
    rmSync(home, { recursive: true, force: true });
    expect(await emulator.state()).toMatchObject(WHOLE);
  });
  afterAll(() => emulator.end());
}

export function part(name: string): { part: MachinePart; directory: string } {
  const directory = join(home, name);
  mkdirSync(directory, { recursive: true });
  return { part: new MachinePart(emulator.host, name, home, files), directory };
}

export const launch = (directory: string, vcpuCpus: number[], memoryBytes = 256 * MIB) => ({
  directory,
  cpus: vcpuCpus.length,
  memoryBytes,
  placement: { vcpuCpus, memory: [{ node: 0, bytes: memoryBytes }], hugePageBytes: null, weight: null, mostCpus: null },
});

export function image() {
  const kernel = join(home, 'vmlinux');
  writeFileSync(kernel, spawnKernel());
  return { kernel, initramfs: kernel, commandLine: 'quiet' };
}

export const BLOCKS = { block: 128 * MIB, node: 0 };

/** What kernels use that is not booked for them, or is somebody else's. */
export function agree({ instances, chunks }: ModelState): string[] {
  const meet = (a: { base: number; bytes: number }, b: typeof a) =>
    a.base < b.base + b.bytes && b.base < a.base + a.bytes;
  const inside = (a: { base: number; bytes: number }, b: typeof a) =>
    a.base >= b.base && a.base + a.bytes <= b.base + b.bytes;
  return instances
    .filter(({ status }) => status === 'active')
    .flatMap(({ name, used, regions }) =>
      used.flatMap((range) => [
        ...(regions.some((region) => inside(range, region)) ? [] : [`${name} uses what is not booked`]),
        ...(chunks.some((chunk) => inside(range, chunk)) ? [] : [`none of the pool has what ${name} uses`]),
        ...instances
          .filter((other) => other.name !== name && other.regions.some((region) => meet(region, range)))
          .map((other) => `${other.name} has what ${name} uses`),
      ]),
    );
}

/** As the machine is before anything is taken of it; and nobody has undone a transaction by rmdir, which may take what others have. */
export const WHOLE = { poolCpus: [], poolFunctions: [], chunks: [], instances: [], rolledBack: 0 };

/**
 * A machine that QEMU emulates, in which the kernel that somebody supplies as a multikernel host's runs, with this machine's files as its
 * own: the product runs there, as it would on metal.
 */
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Kernel } from '../../../src/driver/index.ts';
import { QemuDriver } from '../../../src/driver/qemu/driver.ts';
import { ImageStore, type KernelImage } from '../../../src/image/contract.ts';
import { cacheDirectory } from '../../../src/sys/paths.ts';
import { launchSpec } from '../launch-spec.ts';

/** CPU 0 stays with the host kernel; kernels beside it are put on the others. */
export const TRUE_HOST_CPUS = 4;
/** The image of kernels beside it, in the store. */
export const TRUE_GUEST = 'mk-guest';
const GIB = 2 ** 30;
/** Emulated, with files of another machine: minutes. */
const READY_MS = 600_000;

/** An image of the store by its name, or a file that becomes one; `modules`: those of its kernel. */
export async function suppliedImage(given: string, name: string, modules?: string): Promise<KernelImage> {
  const store = new ImageStore();
  if (!existsSync(given)) return store.resolve(given);
  await store.import({ name, kernel: given, modules });
  return store.resolve(name);
}

/** Boots it, has `body` use it, and leaves nothing. */
export async function onTrueHost<T>(image: KernelImage, body: (host: Kernel) => Promise<T>): Promise<T> {
  const driver = new QemuDriver();
  const availability = await driver.probe();
  if (!availability.available) throw new Error(availability.reason);
  const directory = await mkdtemp(join(tmpdir(), 'pk-true-host-'));
  const spec = launchSpec({
    ...{ name: 'mk-host', hostname: 'mk-host', directory, image, cpus: TRUE_HOST_CPUS, memoryBytes: 4 * GIB },
    volumes: [process.cwd(), cacheDirectory()].map((path) => ({ source: path, target: path, readOnly: true })),
    append: ['movablecore=2G'],
    // As root sees them: what lies in places of his own, such as the cache, is looked at there.
    root: { kind: 'host', mapped: true },
    cold: true,
    readyTimeoutMs: READY_MS,
  });
  try {
    return await body(await driver.start(spec, new AbortController().signal));
  } finally {
    await driver.destroy(directory, spec.id);
    await rm(directory, { recursive: true, force: true });
  }
}

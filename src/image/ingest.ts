/** Takes a kernel and its modules into the blob store. */
import { existsSync, realpathSync, statSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { PolykernelError } from '../sys/errors.ts';
import type { Blob, BlobStore } from './blobs.ts';
import type { KernelSource } from './debian.ts';
import type { ModulePurpose } from './image.ts';
import { MAX_TEXT_BYTES } from './kernel-bounds.ts';
import { copyKernel, detectKernel, IMAGE_KIND, scanKernel } from './kernel-file.ts';
import type { ImageContent, ModuleBlob } from './manifest.ts';
import type { ModuleTrees, TreeTask } from './module-tree.ts';
import { chooseModules, parseBuiltin, readWhole } from './modules.ts';
import { extractVmlinux } from './vmlinux.ts';

/** What is lost without the modules of a purpose. */
const LOSS: Readonly<Record<ModulePurpose, string>> = {
  boot: 'the control port cannot work',
  share: "the host's files and directories cannot be shared with QEMU guests",
  overlay: 'no scratch layer can be put over a root file system',
  squashfs: 'squashfs root files cannot be mounted',
  ext4: 'ext4 root files cannot be mounted',
  block: 'root files cannot be attached as disks',
  network: 'QEMU guests cannot join a private network',
  balloon: 'the memory of QEMU guests stays as large as it was at their start',
  panic: 'that a QEMU guest panicked is told by its console alone',
  watchdog: 'whether a QEMU guest goes on is told by its control line alone',
  fuse: "files that a guest's users make on volumes belong to its root",
};

/**
 * Driver names that a kernel carries as strings when these drivers are built in. They must be there in one form or the
 * other, or the guest can never be reached.
 */
const BOOT_MARKERS: Readonly<Record<string, string>> = { virtio_pci: 'virtio-pci', virtio_console: 'virtio_console' };

/**
 * Stores the kernel and what it needs of its modules.
 * Throws `invalid` when the kernel cannot be booted, when modules are for another kernel, or when the drivers of the
 * control port are nowhere.
 */
export async function ingest(
  source: KernelSource,
  { blobs, trees }: { blobs: BlobStore; trees: ModuleTrees },
  progress: (line: string) => void,
  signal?: AbortSignal,
): Promise<ImageContent> {
  // First where it lies, for its errors; but all that counts is asked of a copy that nobody else can change.
  detectKernel(source.kernel);
  let bootable = await blobs.scratch();
  await copyKernel(source.kernel, bootable, signal);
  const file = detectKernel(bootable);
  const kind = IMAGE_KIND[file];
  if (file === 'bzImage') {
    progress('unpacking the kernel out of its bzImage');
    const packed = bootable;
    bootable = await blobs.scratch();
    await extractVmlinux(packed, bootable, signal);
    await rm(packed, { force: true });
    if (detectKernel(bootable) !== 'vmlinux') throw new PolykernelError('invalid', 'the bzImage holds no plain kernel');
  }
  const { version, found } = await scanKernel(bootable, Object.values(BOOT_MARKERS), source.kernel);
  const directory = source.modules === undefined ? undefined : moduleDirectory(source.modules, version);
  const builtin = readBuiltin(directory);
  for (const [name, marker] of Object.entries(BOOT_MARKERS)) if (found.has(marker)) builtin.add(name);
  progress(`choosing the modules of Linux ${version}`);
  const chosen = await chooseModules(kind, version, directory, builtin, signal);
  for (const [purpose, name] of chosen.absent) {
    if (purpose === 'boot') throw unreachable(name, source.modules);
    progress(`note: no module ${name}: ${LOSS[purpose]} unless it is built in`);
  }
  progress('storing');
  const kernel = await blobs.adopt(bootable, 0o755, signal);
  const modules: ModuleBlob[] = [];
  for (const [name, bytes] of chosen.contents) modules.push({ name, ...(await blobs.putBytes(bytes)) });
  const isOurs = directory !== undefined && blobs.isTemporary(realpathSync(directory));
  const tree = directory && (await layOut({ directory, version, builtin, isOurs, signal }, { blobs, trees }, progress));
  return { kind, version, kernel, modules, sets: chosen.sets, ...(tree && { tree }) };
}

/** All modules, for guests to load. An image without them boots all the same: why there are none is told. */
async function layOut(
  task: TreeTask,
  { blobs, trees }: { blobs: BlobStore; trees: ModuleTrees },
  progress: (line: string) => void,
): Promise<Blob | undefined> {
  progress('laying out all modules for modprobe');
  try {
    return await trees.make(task, await blobs.scratch());
  } catch (error) {
    task.signal?.throwIfAborted();
    progress(`note: guests can load no modules of this image: ${(error as Error).message}`);
    return undefined;
  }
}

/** People give the directory of one kernel, of all kernels, or of an unpacked package. */
export function moduleDirectory(given: string, version: string): string {
  if (!statSync(given, { throwIfNoEntry: false })?.isDirectory()) {
    throw new PolykernelError('not-found', `there is no directory ${given}`, { field: '--modules', value: given });
  }
  const candidates = [join('lib/modules', version), join('usr/lib/modules', version), version];
  return candidates.map((path) => join(given, path)).find(existsSync) ?? given;
}

function readBuiltin(directory: string | undefined): Set<string> {
  const path = directory === undefined ? undefined : join(directory, 'modules.builtin');
  if (path === undefined || !existsSync(path)) return new Set();
  return parseBuiltin(readWhole(path, MAX_TEXT_BYTES).toString('utf8'));
}

function unreachable(name: string, given: string | undefined): PolykernelError {
  const place = given === undefined ? 'no module directory was given' : `no module of that name is below ${given}`;
  return new PolykernelError('invalid', `the kernel has no driver ${name}: it is not built in, and ${place}`, {
    field: '--modules',
    value: given,
    hint: 'Give --modules with the directory of this kernel, or build it with CONFIG_VIRTIO_PCI=y and CONFIG_VIRTIO_CONSOLE=y.',
  });
}

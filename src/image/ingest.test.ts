import { mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { run } from '../sys/process.ts';
import { BlobStore } from './blobs.ts';
import { ingest } from './ingest.ts';
import { MAX_KERNEL_BYTES } from './kernel-bounds.ts';
import { copyKernel } from './kernel-file.ts';
import { ModuleTrees } from './module-tree.ts';
import { elfKernel } from './testing.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'pk-ingest-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

it('stores the kernel that it looked at, whatever its owner puts in its place meanwhile', async () => {
  const kernel = join(directory, 'vmlinux');
  const bytes = elfKernel({ text: 'virtio-pci\0virtio_console' });
  writeFileSync(kernel, bytes);
  const store = join(directory, 'store');
  const blobs = new BlobStore(store);
  const trees = new ModuleTrees(store);
  const swap = () => {
    rmSync(kernel);
    // Of no end.
    symlinkSync('/dev/zero', kernel);
  };
  let isSwapped = false;
  const progress = () => {
    if (!isSwapped) swap();
    isSwapped = true;
  };
  const content = await ingest({ kernel, modules: undefined, source: kernel }, { blobs, trees }, progress);
  expect(isSwapped).toBe(true);
  expect(readFileSync(blobs.path(content.kernel.sha256)).equals(bytes)).toBe(true);
});

it('copies no kernel that is no file, or larger than one may be', async () => {
  const [source, target] = [join(directory, 'source'), join(directory, 'target')];
  writeFileSync(source, '');
  truncateSync(source, MAX_KERNEL_BYTES + 1);
  await expect(copyKernel(source, target)).rejects.toMatchObject({ code: 'invalid', field: 'kernel' });
  renameSync(source, join(directory, 'large'));
  await run(['mkfifo', source]);
  await expect(copyKernel(source, target)).rejects.toMatchObject({ code: 'invalid', field: 'kernel' });
});

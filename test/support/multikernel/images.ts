/** What a host with the model of the kernel boots. */
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ImageStore, type KernelImage, type RootSource } from '../../../src/image/contract.ts';
import { toolPath } from '../../../src/sys/tools.ts';
import { nativeProgram } from '../native.ts';
import { RELEASE } from './emulator.ts';

/** An ELF file with the one note that a kernel of the patches has, and no more: the model boots what it boots. */
export function spawnKernel(note: { name: string; bytes: number } = { name: 'MK', bytes: 8 }): Buffer {
  const name = Buffer.from(`${note.name}\0`);
  const padded = Buffer.concat([name, Buffer.alloc((4 - (name.length % 4)) % 4)]);
  const notes = Buffer.concat([Buffer.alloc(12), padded, Buffer.alloc(note.bytes)]);
  notes.writeUInt32LE(name.length, 0);
  notes.writeUInt32LE(note.bytes, 4);
  notes.writeUInt32LE(1, 8);
  const head = Buffer.alloc(64 + 56);
  head.write('\x7fELF\x02\x01\x01', 'latin1');
  head.writeUInt16LE(2, 16);
  head.writeUInt16LE(62, 18);
  head.writeBigUInt64LE(64n, 32);
  head.writeUInt16LE(56, 54);
  head.writeUInt16LE(1, 56);
  head.writeUInt16LE(64, 58);
  head.writeUInt32LE(4, 64);
  head.writeBigUInt64LE(BigInt(head.length), 72);
  head.writeBigUInt64LE(BigInt(notes.length), 96);
  return Buffer.concat([head, notes]);
}

/** A root of busybox alone, in a new directory. */
export function busyboxRoot(): RootSource & { kind: 'directory' } {
  const path = mkdtempSync(join(tmpdir(), 'pk-mk-root-'));
  chmodSync(path, 0o755);
  for (const directory of ['bin', 'etc', 'dev', 'proc', 'sys', 'run', 'tmp']) mkdirSync(join(path, directory));
  copyFileSync(toolPath('busybox').path, join(path, 'bin/busybox'));
  for (const name of ['sh', 'echo', 'cat', 'sleep', 'env', 'true', 'poweroff', 'dd', 'wc'])
    symlinkSync('busybox', join(path, 'bin', name));
  writeFileSync(join(path, 'etc/passwd'), 'root:x:0:0::/:/bin/sh\n');
  return { kind: 'directory', path };
}

/** What instances of the model really run. */
export async function umlImage(): Promise<KernelImage> {
  for (const name of ['pk-init', 'pk-shim', 'pk-mktty', 'pk-xstate.so'] as const) await nativeProgram(name);
  const store = new ImageStore();
  return await store.resolve('debian:uml').catch(async () => {
    await store.pull('debian:uml');
    return store.resolve('debian:uml');
  });
}

/** What the driver is given, with a file in `directory`: the model boots User Mode Linux in its place. */
export async function spawnImage(directory: string): Promise<KernelImage> {
  const kernel = join(directory, 'vmlinux');
  writeFileSync(kernel, spawnKernel());
  return { ...(await umlImage()), kind: 'x86_64', version: RELEASE, kernel };
}

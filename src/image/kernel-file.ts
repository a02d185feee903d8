/** Finds out what a kernel file is, and gets the form that drivers boot out of it. */
import { closeSync, fstatSync, openSync, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { PolykernelError } from '../sys/errors.ts';
import { openRegular, readerOf, readPieces, writePieces } from '../sys/read-at.ts';
import { formatBytes } from '../sys/units.ts';
import { MACHINE_NAMES, readElf } from './elf.ts';
import type { ImageKind } from './image.ts';
import { MAX_KERNEL_BYTES } from './kernel-bounds.ts';
import { isBzImage } from './vmlinux.ts';

export type KernelFileKind = 'uml' | 'vmlinux' | 'bzImage';

/** Kinds of image as the store knows them. */
export const IMAGE_KIND: Readonly<Record<KernelFileKind, ImageKind>> = {
  uml: 'uml',
  vmlinux: 'x86_64',
  bzImage: 'x86_64',
};

const X86_64 = 62;

/**
 * Copies a kernel to the new file `target`: what somebody else owns may be another file each time it is opened, or have no end.
 * Throws `invalid` when it is no regular file or too large.
 */
export async function copyKernel(path: string, target: string, signal?: AbortSignal): Promise<void> {
  const input = openRegular(path);
  if (input === undefined) throw invalid(path, 'it is not a regular file');
  try {
    const { size } = fstatSync(input);
    if (size > MAX_KERNEL_BYTES) throw tooLarge(path);
    const output = openSync(target, 'wx', 0o600);
    try {
      await writePieces(output, readPieces(input, 0, size), signal);
    } finally {
      closeSync(output);
    }
  } finally {
    closeSync(input);
  }
}

/** What the file is, by its contents. Throws `not-found` or `invalid` with the reason it cannot be booted. */
export function detectKernel(path: string): KernelFileKind {
  const status = statSync(path, { throwIfNoEntry: false });
  if (status === undefined) {
    throw new PolykernelError('not-found', `there is no file ${path}`, { field: 'kernel', value: path });
  }
  const fd = status.isFile() ? openRegular(path) : undefined;
  if (fd === undefined) throw invalid(path, 'it is not a regular file');
  if (status.size > MAX_KERNEL_BYTES) {
    closeSync(fd);
    throw tooLarge(path);
  }
  try {
    const read = readerOf(fd);
    if (isBzImage(read)) return 'bzImage';
    const elf = readElf(read);
    if (elf === undefined) throw invalid(path, 'it is neither a bzImage nor a 64-bit ELF file');
    if (elf.machine !== X86_64) {
      const machine = MACHINE_NAMES[elf.machine] ?? `ELF machine ${elf.machine}`;
      throw invalid(path, `it is for ${machine}, and drivers run x86_64 kernels`);
    }
    if (elf.sections.has('.uml.setup.init')) return 'uml';
    if (elf.interpreted) throw invalid(path, 'it is a program, but not User Mode Linux');
    // Either has it booted: by QEMU, or by a kernel beside which it is to run.
    if (elf.hasPvhNote || elf.hasMultikernelNote) return 'vmlinux';
    throw invalid(path, 'it has no entry for QEMU or for a parent kernel: build it with CONFIG_PVH=y');
  } finally {
    closeSync(fd);
  }
}

export interface KernelFacts {
  /** `uname -r`. */
  version: string;
  /** Which of the asked strings occur in the kernel. */
  found: Set<string>;
}

/** More than the longest string looked for, so that one across two pieces is seen. */
const OVERLAP_BYTES = 256;
const PIECE_BYTES = 256 * 1024;
const BANNER = 'Linux version ';
const RELEASE = /^Linux version (\d[\w.+~-]*) \(/;

/**
 * Reads an uncompressed kernel once, for its version banner and for `needles`. Throws `invalid` without a banner, naming `given`:
 * where the kernel came from.
 */
export async function scanKernel(path: string, needles: readonly string[], given = path): Promise<KernelFacts> {
  const found = new Set<string>();
  let version: string | undefined;
  const file = await open(path, 'r');
  try {
    // One buffer for all pieces: kernels are large, and the daemon that may do this has to stay small.
    const buffer = Buffer.alloc(OVERLAP_BYTES + PIECE_BYTES);
    for (let position = 0; version === undefined || found.size < needles.length; position += PIECE_BYTES) {
      const { bytesRead } = await file.read(buffer, 0, buffer.length, position);
      const piece = buffer.subarray(0, bytesRead);
      version ??= findRelease(piece);
      for (const needle of needles) if (piece.includes(needle)) found.add(needle);
      if (bytesRead < buffer.length) break;
    }
  } finally {
    await file.close();
  }
  if (version === undefined) throw invalid(given, `it holds no "${BANNER}" banner`);
  return { version, found };
}

/** The format string of the banner comes up too: it has no digit behind the words. */
function findRelease(piece: Buffer): string | undefined {
  for (let at = piece.indexOf(BANNER); at >= 0; at = piece.indexOf(BANNER, at + 1)) {
    const release = RELEASE.exec(piece.toString('latin1', at, at + OVERLAP_BYTES))?.[1];
    if (release !== undefined) return release;
  }
  return undefined;
}

const tooLarge = (path: string) => invalid(path, `it is larger than ${formatBytes(MAX_KERNEL_BYTES)}`);

function invalid(path: string, reason: string): PolykernelError {
  return new PolykernelError('invalid', `${path} is not a kernel that can be booted: ${reason}`, {
    field: 'kernel',
    value: path,
    hint: 'Give a bzImage (/boot/vmlinuz-…), an uncompressed vmlinux with CONFIG_PVH=y, or a linux.uml program.',
  });
}

/**
 * Gets the bootable ELF kernel out of a bzImage: QEMU starts it by its PVH note in half the time, as no decompressor runs
 * in the guest. Header fields: Documentation/arch/x86/boot.rst of Linux.
 */
import { closeSync, createReadStream, createWriteStream, openSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { startConfined } from '../sys/confined-tool.ts';
import { ELF_MAGIC } from '../sys/elf-links.ts';
import { asPolykernelError, PolykernelError } from '../sys/errors.ts';
import { openRegular, type ReadAt, readerOf } from '../sys/read-at.ts';
import { MAX_KERNEL_BYTES } from './kernel-bounds.ts';
import { decodeLz4File } from './lz4.ts';

export type Compression = 'gzip' | 'xz' | 'lzma' | 'zstd' | 'lz4' | 'bzip2' | 'lzo' | 'none';

/** Where the compressed kernel lies in a bzImage, in bytes from the start of the file. */
export interface Payload {
  offset: number;
  length: number;
  compression: Compression;
}

const HEADER_MAGIC = 'HdrS';
/** Boot protocol 2.08 (Linux 2.6.26) brought payload_offset and payload_length. */
const OLDEST_PROTOCOL = 0x0208;
const SECTOR_BYTES = 512;
/** The kernel's build appends the unpacked size, u32, to every format that does not end with it already. */
const SIZE_TRAILER_BYTES = 4;
const MAX_PAYLOAD_BYTES = 512 * 1024 * 1024;
const UNPACK_DEADLINE_MS = 5 * 60_000;

/** Which program unpacks what, from standard input to standard output, in a jail. */
const TOOLS: Partial<Record<Compression, readonly string[]>> = {
  gzip: ['gzip', '-dc'],
  zstd: ['zstd', '-dcq'],
  xz: ['xz', '-dc', '-T1', '--format=xz'],
  lzma: ['xz', '-dc', '-T1', '--format=lzma'],
};

const MAGICS: readonly (readonly [Compression, readonly number[]])[] = [
  ['gzip', [0x1f, 0x8b]],
  ['xz', [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]],
  ['zstd', [0x28, 0xb5, 0x2f, 0xfd]],
  ['lz4', [0x02, 0x21, 0x4c, 0x18]],
  ['bzip2', [0x42, 0x5a, 0x68]],
  ['lzo', [0x89, 0x4c, 0x5a, 0x4f]],
  ['lzma', [0x5d, 0x00, 0x00]],
  ['none', [...ELF_MAGIC]],
];

/** Which compression `bytes` begin with, by magic number. */
export function detectCompression(bytes: Buffer): Compression | undefined {
  return MAGICS.find(([, magic]) => magic.every((byte, index) => bytes[index] === byte))?.[0];
}

/** Whether a file is a bzImage: has the boot protocol's header. */
export function isBzImage(read: ReadAt): boolean {
  return read(0x202, 4)?.toString('latin1') === HEADER_MAGIC;
}

/** Finds the payload of a bzImage. Throws `invalid` with the reason when there is none that can be unpacked. */
export function findPayload(read: ReadAt): Payload {
  const header = read(0, 0x250);
  if (!header || !isBzImage(read)) throw invalid('it has no Linux boot header');
  const protocol = header.readUInt16LE(0x206);
  if (protocol < OLDEST_PROTOCOL) {
    throw invalid(`its boot protocol is 0x${protocol.toString(16)}, older than 0x${OLDEST_PROTOCOL.toString(16)}`);
  }
  // A setup_sects of 0 means 4, for the sake of very old loaders.
  const setupSectors = header[0x1f1] || 4;
  const offset = (setupSectors + 1) * SECTOR_BYTES + header.readUInt32LE(0x248);
  const length = header.readUInt32LE(0x24c);
  const start = length > MAX_PAYLOAD_BYTES ? undefined : read(offset, 16);
  if (!start || !read(offset + length - 1, 1))
    throw invalid('its payload lies outside the file: the file is cut short');
  const compression = detectCompression(start);
  if (compression === undefined) throw invalid(`its payload begins with unknown bytes ${start.toString('hex', 0, 6)}`);
  return { offset, length, compression };
}

/**
 * Writes the kernel inside the bzImage at `source` to the new file `target`.
 * Throws `invalid` when there is none, `unavailable` when its compression needs a program that is missing.
 */
export async function extractVmlinux(source: string, target: string, signal?: AbortSignal): Promise<void> {
  const input = openRegular(source);
  if (input === undefined) throw invalid('it is not a regular file');
  try {
    const payload = findPayload(readerOf(input));
    await decompress(input, payload, target, signal);
  } finally {
    closeSync(input);
  }
  const check = openSync(target, 'r');
  try {
    if (!readerOf(check)(0, 4)?.equals(ELF_MAGIC)) throw invalid('what it unpacks to is no ELF file');
  } finally {
    closeSync(check);
  }
}

async function decompress(input: number, payload: Payload, target: string, signal?: AbortSignal): Promise<void> {
  const { offset, compression } = payload;
  const trailer = compression === 'gzip' || compression === 'none' ? 0 : SIZE_TRAILER_BYTES;
  const length = payload.length - trailer;
  const stream = () => createReadStream('', { fd: input, autoClose: false, start: offset, end: offset + length - 1 });
  const options = signal ? { signal } : {};
  const tool = TOOLS[compression];
  const output = openSync(target, 'wx', 0o600);
  try {
    if (tool !== undefined) await unpack(tool, stream(), output, signal);
    else if (compression === 'lz4') {
      const blocks = decodeLz4File(readerOf(input), offset, length, MAX_KERNEL_BYTES);
      await pipeline(blocks, createWriteStream('', { fd: output, autoClose: false }), options);
    } else if (compression === 'none') {
      await pipeline(stream(), createWriteStream('', { fd: output, autoClose: false }), options);
    } else throw invalid(`it is compressed with ${compression}, which no current distribution does`);
  } catch (error) {
    if (error instanceof PolykernelError && error.code !== 'invalid') throw error;
    if (error instanceof PolykernelError && error.field !== undefined) throw error;
    signal?.throwIfAborted();
    // A system call that failed (a full disk) says nothing about the data.
    if ((error as NodeJS.ErrnoException).syscall !== undefined) throw asPolykernelError(error, 'unpacking the kernel');
    throw invalid(`its ${compression} data is damaged (${(error as Error).message})`);
  } finally {
    closeSync(output);
  }
}

async function unpack([program, ...args]: readonly string[], input: Readable, output: number, signal?: AbortSignal) {
  const bounds = { fileBytes: MAX_KERNEL_BYTES, cpuSeconds: UNPACK_DEADLINE_MS / 1000 };
  const task = { subject: 'the kernel', programs: [program!], args, input, output, bounds };
  await startConfined({ ...task, deadlineMs: UNPACK_DEADLINE_MS, signal }).ended;
}

function invalid(reason: string): PolykernelError {
  return new PolykernelError('invalid', `this is not a usable kernel image: ${reason}`, {
    field: 'kernel',
    hint: 'Give a bzImage (/boot/vmlinuz-…), an uncompressed vmlinux with CONFIG_PVH=y, or a linux.uml program.',
  });
}

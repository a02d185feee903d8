import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { spawnKernel } from '../../test/support/multikernel/images.ts';
import { runTool } from '../../test/support/tools.ts';
import { run } from '../sys/process.ts';
import { readElf, readerOfBuffer } from './elf.ts';
import { detectKernel, scanKernel } from './kernel-file.ts';
import { decodeLz4Block, decodeLz4Legacy } from './lz4.ts';
import { bzImage, elfKernel, lz4Legacy } from './testing.ts';
import { extractVmlinux, findPayload } from './vmlinux.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'pk-vmlinux-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const kernel = elfKernel({ release: '6.1.0-test', text: 'virtio-pci virtio_console', pad: 300_000 });
const sizeTrailer = (() => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(kernel.length);
  return bytes;
})();

async function xz(format: string): Promise<Buffer> {
  const packed = await runTool('xz', ['-c', `--format=${format}`, '--check=crc32'].slice(0, format === 'xz' ? 3 : 2), {
    input: kernel,
  });
  return Buffer.concat([packed.stdoutBytes, sizeTrailer]);
}

describe('extractVmlinux', () => {
  const cases: [string, () => Buffer | Promise<Buffer>][] = [
    ['gzip', () => gzipSync(kernel)],
    ['zstd', () => Buffer.concat([zstdCompressSync(kernel), sizeTrailer])],
    ['lz4', () => Buffer.concat([lz4Legacy(kernel), sizeTrailer])],
    ['xz', () => xz('xz')],
    ['lzma', () => xz('lzma')],
    ['none', () => kernel],
  ];
  it.each(cases)('unpacks a %s payload', async (compression, pack) => {
    const image = bzImage(await pack());
    expect(findPayload(readerOfBuffer(image)).compression).toBe(compression);
    const [source, target] = [join(directory, 'vmlinuz'), join(directory, 'vmlinux')];
    writeFileSync(source, image);
    await extractVmlinux(source, target);
    expect(readFileSync(target).equals(kernel)).toBe(true);
    expect(detectKernel(source)).toBe('bzImage');
    expect(detectKernel(target)).toBe('vmlinux');
    expect(await scanKernel(target, ['virtio-pci', 'absent'])).toEqual({
      version: '6.1.0-test',
      found: new Set(['virtio-pci']),
    });
  });

  const bad: [string, () => Buffer, RegExp][] = [
    ['no header', () => Buffer.alloc(4096), /no Linux boot header/],
    ['an old protocol', () => bzImage(gzipSync(kernel), { protocol: 0x0204 }), /older than 0x208/],
    ['a file cut short', () => bzImage(gzipSync(kernel)).subarray(0, 3000), /cut short/],
    ['an unknown compression', () => bzImage(Buffer.alloc(100, 7)), /unknown bytes 0707/],
    ['damaged data', () => bzImage(gzipSync(kernel).fill(1, 200, 260)), /gzip data is damaged/],
    ['something else inside', () => bzImage(gzipSync(Buffer.alloc(5000))), /no ELF file/],
  ];
  it.each(bad)('refuses %s', async (_, make, reason) => {
    const source = join(directory, 'vmlinuz');
    writeFileSync(source, make());
    const failure = extractVmlinux(source, join(directory, 'vmlinux'));
    await expect(failure).rejects.toMatchObject({ code: 'invalid', message: expect.stringMatching(reason) });
  });
});

describe('detectKernel', () => {
  it('takes a kernel that only a parent kernel can boot', () => {
    const path = join(directory, 'kernel');
    writeFileSync(path, spawnKernel());
    expect(detectKernel(path)).toBe('vmlinux');
  });

  const cases: [string, Buffer, RegExp][] = [
    ['a kernel without a PVH note', elfKernel({ pvh: false }), /CONFIG_PVH/],
    ['an arm64 kernel', elfKernel({ machine: 183 }), /for arm64/],
    ['an ordinary program', elfKernel({ interpreted: true, pvh: false }), /not User Mode Linux/],
    ['text', Buffer.from('#!/bin/sh\n'), /neither a bzImage nor/],
  ];
  it.each(cases)('refuses %s', (_, bytes, reason) => {
    const path = join(directory, 'kernel');
    writeFileSync(path, bytes);
    expect(() => detectKernel(path)).toThrow(reason);
  });

  // The 440 bytes that stopped the daemon: the size of a note's name, rounded up in 32 bits, led back to the same note.
  it.each([0xffffffff, 0xfffffff1, 0x80000000, 0x7fffffff])('is through with a note of %i bytes', (size) => {
    for (const field of [0, 4]) {
      const bytes = elfKernel();
      const note = 64 + 56 * 2;
      bytes.writeUInt32LE(7, note + 8);
      bytes.writeUInt32LE(0, note + 4);
      bytes.writeUInt32LE(0, note);
      bytes.writeUInt32LE(size, note + field);
      expect(readElf(readerOfBuffer(bytes))).toMatchObject({ hasPvhNote: false });
    }
  });

  it('is through with any header, in bounded time', () => {
    const sound = elfKernel({ sections: { '.modinfo': Buffer.from('depends=\0vermagic=6.1\0') } });
    const changes = fc.array(fc.tuple(fc.nat(sound.length - 1), fc.nat(255)), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(changes, fc.nat(sound.length), (edits, length) => {
        const bytes = Buffer.from(sound);
        for (const [at, value] of edits) bytes[at] = value;
        readElf(readerOfBuffer(bytes.subarray(0, length)));
      }),
      { numRuns: 2000 },
    );
  });

  it('knows User Mode Linux by its sections', () => {
    const path = join(directory, 'linux.uml');
    writeFileSync(path, elfKernel({ interpreted: true, pvh: false, sections: { '.uml.setup.init': Buffer.alloc(8) } }));
    expect(detectKernel(path)).toBe('uml');
  });

  it('says that a file is not there', () => {
    expect(() => detectKernel(join(directory, 'none'))).toThrow(/there is no file/);
  });
});

describe('decodeLz4Block', () => {
  it('copies overlapping matches', () => {
    // Literals `ab`, then 10 bytes from 2 back.
    expect(decodeLz4Block(Buffer.from([0x26, 0x61, 0x62, 2, 0]), 64).toString()).toBe('abababababab');
  });

  it.each([
    ['literals beyond the end', [0xf0, 0x20, 1]],
    ['an offset before the start', [0x10, 0x61, 9, 0]],
    ['an offset of zero', [0x10, 0x61, 0, 0]],
    ['a length cut short', [0xff]],
    ['more than fits', [0x1f, 0x61, 1, 0, 200]],
  ])('refuses %s', (_, bytes) => {
    expect(() => decodeLz4Block(Buffer.from(bytes), 64)).toThrow(RangeError);
  });

  it('agrees with the lz4 program, where there is one', async () => {
    const packed = await run(['lz4', '-l', '-c', '-9'], { input: kernel }).catch(() => undefined);
    if (packed === undefined) return;
    expect(Buffer.concat([...decodeLz4Legacy(packed.stdoutBytes)]).equals(kernel)).toBe(true);
  });
});

/** Kernels, modules, programs, archives and manifests. */
import { readElf } from '../../../src/image/elf.ts';
import { decodeLz4Legacy } from '../../../src/image/lz4.ts';
import { parseManifest } from '../../../src/image/manifest.ts';
import { loadOrder, parseBuiltin, readModuleInfo } from '../../../src/image/modules.ts';
import { detectRoot } from '../../../src/image/rootfs.ts';
import { type TarBounds, TarMeter } from '../../../src/image/tar-meter.ts';
import { detectCompression, findPayload, isBzImage } from '../../../src/image/vmlinux.ts';
import { readLinks } from '../../../src/sys/elf-links.ts';
import { type ReadAt, readerOfBuffer } from '../../../src/sys/read-at.ts';
import { must, type Target } from '../target.ts';

const ELF = Buffer.from([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);

/** Counts what is read of the file. What a header claims may be no sound place: the reader has nothing there. */
function counted(input: Buffer): { read: ReadAt; count: () => number } {
  const inner = readerOfBuffer(input);
  let bytes = 0;
  const read: ReadAt = (offset, length) => {
    const found = inner(offset, length);
    bytes += found?.length ?? 0;
    return found;
  };
  return { read, count: () => bytes };
}

const elf: Target = {
  name: 'elf',
  dictionary: [ELF, '.modinfo\0', '.uml.setup.init\0', 'Xen\0', Buffer.from([4, 0, 0, 0, 8, 0, 0, 0, 18, 0, 0, 0])],
  run(input) {
    const { read, count } = counted(input);
    const summary = readElf(read);
    // Names of sections may lie in one place: 8192 of them, each of at most 255 bytes.
    must(count() <= 4 * input.length + 256 * (input.length / 64), 'what is read is bounded');
    return summary;
  },
};

const links: Target = {
  name: 'elf-links',
  dictionary: [
    ELF,
    '/lib64/ld.so\0',
    'libc.so.6\0',
    '../x\0',
    bytes(1, 0, 0, 0),
    bytes(2, 0, 0, 0),
    bytes(5, 0, 0, 0, 0, 0, 0, 0),
  ],
  run(input) {
    const { read, count } = counted(input);
    const found = readLinks(read, '/x');
    must(count() <= 4 * input.length + 4096 + 257 * 256, 'what is read is bounded');
    must(found?.needed.every((name) => !name.includes('/')) ?? true, 'no library is named by a path');
    return found;
  },
};

const bzImage: Target = {
  name: 'bzimage',
  dictionary: [
    'HdrS',
    ELF,
    Buffer.from([0x28, 0xb5, 0x2f, 0xfd]),
    Buffer.from([0x02, 0x21, 0x4c, 0x18]),
    Buffer.from([8, 2]),
  ],
  run(input) {
    const { read } = counted(input);
    const kind = [detectCompression(input), detectRoot(input), isBzImage(read)];
    const { offset, length, compression } = findPayload(read);
    must(offset >= 0 && offset + length <= input.length, 'the payload is inside');
    return [...kind, offset, length, compression];
  },
};

const lz4: Target = {
  name: 'lz4',
  dictionary: [
    Buffer.from([0x02, 0x21, 0x4c, 0x18]),
    Buffer.alloc(16, 255),
    Buffer.from([0x1f, 0x41, 1, 0]),
    Buffer.from([0xf0, 0xff]),
  ],
  refusal: RangeError,
  output: { base: 64, perByte: 255 },
  run(input) {
    let size = 0;
    for (const block of decodeLz4Legacy(input)) size += block.length;
    must(size <= 255 * input.length, 'no byte stands for more than 255');
    return size;
  },
};

/** The whole input is the section, in an ELF file around it: what stands in that is the target above's. */
const moduleInfo: Target = {
  name: 'modinfo',
  dictionary: [
    'depends=',
    'vermagic=6.1.0 SMP ',
    'softdep=pre: ',
    'softdep=',
    'pre:',
    'post:',
    ' a:',
    '\0',
    ',',
    '-',
    '_',
    ' ',
  ],
  maxBytes: 16_384,
  run(input) {
    const names = '.modinfo\0.shstrtab\0';
    const file = Buffer.alloc(64 + 2 * 64 + names.length + input.length);
    ELF.copy(file);
    file.writeBigUInt64LE(64n, 40); // section headers: their place, size and number, and the section of names
    file.writeUInt16LE(64, 58);
    file.writeUInt16LE(2, 60);
    file.writeUInt16LE(1, 62);
    const section = (index: number, name: number, offset: number, size: number) => {
      file.writeUInt32LE(name, 64 + index * 64);
      file.writeBigUInt64LE(BigInt(offset), 64 + index * 64 + 24);
      file.writeBigUInt64LE(BigInt(size), 64 + index * 64 + 32);
    };
    section(0, 0, 192 + names.length, input.length);
    section(1, 9, 192, names.length);
    file.write(names, 192, 'latin1');
    input.copy(file, 192 + names.length);
    const { depends, version } = readModuleInfo('/x.ko', file);
    // Each needs the one named before it, so that the way down is as long as can be.
    const before = new Map(depends.map((name, at) => [name, depends.slice(Math.max(0, at - 1), at)]));
    const order = loadOrder([...depends].reverse(), (name) => before.get(name));
    return { depends, version, order, builtin: parseBuiltin(input.toString('latin1')) };
  },
};

const manifest: Target = {
  name: 'manifest',
  dictionary: [
    ...[
      '"format":1',
      '"kind":"uml"',
      '"kind":"x86_64"',
      '"modules":[]',
      '"sets":{}',
      '"kernel":',
      '"sha256":"',
      '"size":1',
    ],
    ...['null', '{', '}', '[', ']', ',', 'a'.repeat(64), '"boot":["virtio"]', '"__proto__":'],
  ],
  run: (input) => parseManifest(input.toString('utf8')),
};

const archive: Target = {
  name: 'tar',
  dictionary: [
    '../',
    '/',
    'a',
    'b/',
    'ustar\x0000',
    '././@LongLink',
    '12 path=x\n',
    'GNU.sparse.size=9',
    '0000000',
    '7777777',
  ],
  refusal: RangeError,
  repair: withChecksums,
  run(input) {
    const bounds = { bytes: 8192, entries: 64, names: 20, lookups: 200 };
    const whole = metered(input, input.length, bounds);
    must(whole.entries <= bounds.entries && whole.names.size <= 256, 'what is kept is bounded');
    const cut = metered(input, 1 + (input[0] ?? 0), bounds);
    must(cut.entries === whole.entries && cut.names.size === whole.names.size, 'pieces say what the whole does');
    return [whole.entries, whole.names, whole.root];
  },
};

function metered(input: Buffer, step: number, bounds: TarBounds): TarMeter {
  const meter = new TarMeter(bounds);
  for (let at = 0; at < input.length; at += step) meter.feed(input.subarray(at, at + step));
  meter.end();
  return meter;
}

/** The sum of a header, with its own field as spaces. Each block is taken for a header. */
function withChecksums(input: Buffer): Buffer {
  if (input.length % 8 === 7) return input; // or wrong ones would never be seen
  for (let at = 0; at + 512 <= input.length; at += 512) {
    const head = input.subarray(at, at + 512);
    if (!head.includes('ustar')) continue;
    head.fill(' ', 148, 156);
    head.write(
      `${head
        .reduce((sum, byte) => sum + byte, 0)
        .toString(8)
        .padStart(6, '0')}\0 `,
      148,
      'latin1',
    );
  }
  return input;
}

function bytes(...values: number[]): Uint8Array {
  return Uint8Array.from(values);
}

export const imageTargets: readonly Target[] = [elf, links, bzImage, lz4, moduleInfo, manifest, archive];

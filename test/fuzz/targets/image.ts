/** Kernels, modules, archives and manifests. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { type ReadAt, readElf, readerOfBuffer } from '../../../src/image/elf.ts';
import { decodeLz4Legacy } from '../../../src/image/lz4.ts';
import { parseManifest } from '../../../src/image/manifest.ts';
import { loadOrder, parseBuiltin, readModuleInfo } from '../../../src/image/modules.ts';
import { detectRoot } from '../../../src/image/rootfs.ts';
import { untar } from '../../../src/image/untar.ts';
import { detectCompression, findPayload, isBzImage } from '../../../src/image/vmlinux.ts';
import { must, type Target } from '../target.ts';

const ELF = Buffer.from([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);

/** Counts what is asked of the file. */
function counted(input: Buffer): { read: ReadAt; asked: () => number } {
  const inner = readerOfBuffer(input);
  let bytes = 0;
  const read: ReadAt = (offset, length) => {
    must(Number.isSafeInteger(offset) && offset >= 0, `a file is read at a sound offset, not ${offset}`);
    must(Number.isSafeInteger(length) && length >= 0, `a sound length is read, not ${length}`);
    bytes += Math.min(length, input.length);
    return inner(offset, length);
  };
  return { read, asked: () => bytes };
}

const elf: Target = {
  name: 'elf',
  dictionary: [ELF, '.modinfo\0', '.uml.setup.init\0', 'Xen\0', Buffer.from([4, 0, 0, 0, 8, 0, 0, 0, 18, 0, 0, 0])],
  run(input) {
    const { read, asked } = counted(input);
    const summary = readElf(read);
    must(asked() <= 64 + 70_000 * 2 + 70_000 * input.length, 'what is read is bounded');
    return summary;
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

const place = mkdtempSync('/dev/shm/pk-fuzz-');
process.on('exit', () => rmSync(place, { recursive: true, force: true }));

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
  refusal: Error, // its caller tells of errors of the format and of system calls alike
  repair: withChecksums,
  steps: { base: 20_000, perByte: 400 },
  async run(input) {
    const root = join(place, 'root');
    mkdirSync(root);
    try {
      await untar(Readable.from([input.subarray(0, 700), input.subarray(700)]), root, { keepOwners: false });
    } finally {
      rmSync(root, { recursive: true, force: true });
    }
    must(readdirSync(place).length === 0, 'nothing is outside of the root');
    return undefined;
  },
};

/** The sum of a header, with its own field as spaces. Each block is taken for a header. */
function withChecksums(input: Buffer): Buffer {
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

export const imageTargets: readonly Target[] = [elf, bzImage, lz4, moduleInfo, manifest, archive];

/** Makes small kernels, modules and boot images for tests. */

export interface ElfOptions {
  release?: string;
  text?: string;
  /** Bytes of filling. */
  pad?: number;
  machine?: number;
  pvh?: boolean;
  interpreted?: boolean;
  sections?: Record<string, Buffer>;
}

/** An ELF64 file with what readElf() looks at. */
export function elfKernel(options: ElfOptions = {}): Buffer {
  const { release = '6.1.0-test', text = '', pad = 0, machine = 62, pvh = true, interpreted = false } = options;
  const filling = Buffer.from(Array.from({ length: pad }, (_, index) => (index * index) >> (index % 7)));
  const note = Buffer.concat([u32(4, 8, 18), Buffer.from('Xen\0'), Buffer.alloc(8)]);
  const body = Buffer.concat([
    note,
    Buffer.from(`Linux version %s\0Linux version ${release} (me) #1\0${text}\0`),
    filling,
  ]);
  const segments: Buffer[] = [];
  if (pvh) segments.push(segment(4, 64 + 56 * 2, note.length));
  if (interpreted) segments.push(segment(3, 64 + 56 * 2, 4));
  while (segments.length < 2) segments.push(segment(1, 64 + 56 * 2, body.length));
  const sections = Object.entries({ ...options.sections, '.shstrtab': Buffer.alloc(0) });
  const names = Buffer.from(`\0${sections.map(([name]) => name).join('\0')}\0`);
  sections[sections.length - 1]![1] = names;
  let offset = 64 + 56 * 2 + body.length;
  let nameAt = 1;
  const headers = sections.map(([name, bytes]) => {
    const header = Buffer.alloc(64);
    header.writeUInt32LE(nameAt, 0);
    header.writeBigUInt64LE(BigInt(offset), 24);
    header.writeBigUInt64LE(BigInt(bytes.length), 32);
    nameAt += name.length + 1;
    offset += bytes.length;
    return header;
  });
  const header = Buffer.alloc(64);
  header.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  header.writeUInt16LE(machine, 18);
  header.writeBigUInt64LE(64n, 32);
  header.writeBigUInt64LE(BigInt(offset), 40);
  header.writeUInt16LE(56, 54);
  header.writeUInt16LE(2, 56);
  header.writeUInt16LE(64, 58);
  header.writeUInt16LE(headers.length, 60);
  header.writeUInt16LE(headers.length - 1, 62);
  return Buffer.concat([header, ...segments, body, ...sections.map(([, bytes]) => bytes), ...headers]);
}

/** A kernel module with a .modinfo section. */
export function kernelModule(depends: string, release = '6.1.0-test', more: readonly string[] = []): Buffer {
  const info = [`depends=${depends}`, `vermagic=${release} SMP mod_unload `, ...more].join('\0');
  return elfKernel({ pvh: false, sections: { '.modinfo': Buffer.from(`${info}\0`) } });
}

/** A bzImage around a compressed payload. */
export function bzImage(payload: Buffer, { protocol = 0x020f, setupSectors = 4, lead = 64 } = {}): Buffer {
  const setup = Buffer.alloc((setupSectors + 1) * 512);
  setup[0x1f1] = setupSectors;
  setup.write('HdrS', 0x202, 'latin1');
  setup.writeUInt16LE(protocol, 0x206);
  setup.writeUInt32LE(lead, 0x248);
  setup.writeUInt32LE(payload.length, 0x24c);
  return Buffer.concat([setup, Buffer.alloc(lead), payload, Buffer.alloc(32)]);
}

/** An LZ4 legacy frame of literals only. */
export function lz4Legacy(bytes: Buffer): Buffer {
  const extra = bytes.length - 15;
  const lengths = Buffer.concat([Buffer.alloc(Math.floor(extra / 255), 255), Buffer.from([extra % 255])]);
  const block = Buffer.concat([Buffer.from([0xf0]), lengths, bytes]);
  return Buffer.concat([u32(0x184c2102, block.length), block]);
}

function segment(type: number, offset: number, size: number): Buffer {
  const bytes = Buffer.alloc(56);
  bytes.writeUInt32LE(type, 0);
  bytes.writeBigUInt64LE(BigInt(offset), 8);
  bytes.writeBigUInt64LE(BigInt(size), 32);
  return bytes;
}

function u32(...values: number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4);
  for (const [index, value] of values.entries()) bytes.writeUInt32LE(value, index * 4);
  return bytes;
}

/** Configuration spaces made for tests: an image for each row of the table of capabilities, and dumps of them. */
import { EXTENDED, STANDARD } from '../../src/pci/rules/index.ts';

export interface ImageOptions {
  size?: 64 | 256 | 4096;
  /** Header type; default 0. */
  type?: number;
  /** Bytes that differ from those of an Ethernet controller: `[offset, byte]`. */
  bytes?: readonly (readonly [number, number])[];
  /** Each with the bytes after its header, in chains from 0x40 and 0x100 on. */
  standard?: readonly { id: number; body: readonly number[] }[];
  extended?: readonly { id: number; version?: number; body: readonly number[] }[];
}

/** Body of a PCI Express capability, version 2, of a port of a type; the rest is zero. */
export const expressBody = (type = 0, version = 2): number[] => [
  version | (type << 4),
  ...[1, 0x80, 0x8e, 0, 0x10, 0x10, 0x29, 0, 0],
  ...Array(0x3c - 12).fill(0),
];

/** An image, as a device would answer. */
export function image(options: ImageOptions = {}): Uint8Array {
  const { size = 4096, type = 0, standard = [], extended = [] } = options;
  const space = new Uint8Array(size);
  const view = new DataView(space.buffer);
  view.setUint32(0x00, 0x15218086, true);
  view.setUint32(0x04, 0x00100006, true);
  view.setUint32(0x08, 0x02000001, true);
  space[0x0e] = type;
  if (type === 0) view.setUint32(0x2c, 0x00018086, true);
  space.set([0x0b, 0x01], 0x3c);
  let last = 0x34;
  let at = 0x40;
  for (const { id, body } of standard) {
    space[last] = at;
    space.set([id, 0, ...body].slice(0, size - at), at);
    last = at + 1;
    at = (at + 2 + body.length + 3) & ~3;
  }
  if (standard.length === 0) space[0x06] = 0;
  if (at > 0x100) throw new RangeError('capabilities do not fit into 256 bytes');
  at = 0x100;
  for (const [index, { id, version = 1, body }] of extended.entries()) {
    const next = (at + 4 + body.length + 3) & ~3;
    const isLast = index === extended.length - 1;
    view.setUint32(at, (id | (version << 16) | ((isLast ? 0 : next) << 20)) >>> 0, true);
    space.set(body, at + 4);
    at = next;
  }
  for (const [offset, byte] of options.bytes ?? []) space[offset] = byte;
  return space;
}

/** Numbers from a seed, each run the same. */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Longest body of any row, which is long enough for all. */
const LONGEST = 0x60;

/** What the random body of a row has to say for its shape to fit: byte of the body, value. */
const SHAPES: Readonly<Record<string, readonly (readonly [number, number])[]>> = {
  'standard 9': [[0, 0x10]],
  'standard 10': [[0, 1]],
  'standard 16': [
    [0, 0x42],
    [1, 1],
  ],
  'standard 18': [[0, 0x10]],
  'standard 19': [[0, 6]],
  // An entry of a base and an offset of 4 bytes each: of 8 lspci stops with a bug of its own.
  'standard 20': [
    [0, 1],
    [1, 0],
    [2, 2],
    [3, 0],
    [4, 0],
    [5, 0x80],
    [6, 0],
    [10, 0],
  ],
  'extended 11': [
    [2, 0x01],
    [3, 0x02],
  ],
  'extended 35': [
    [2, 0x01],
    [3, 0x02],
  ],
  'extended 21': [
    [4, 0x20],
    [5, 0],
  ],
  'extended 36': [
    [4, 0x20],
    [5, 0],
  ],
};

export interface RowImage {
  name: string;
  id: number;
  extended: boolean;
  bytes: Uint8Array;
}

/** An image for each row, with bodies from a seed. */
export function rowImages(seed: number): RowImage[] {
  const random = randomOf(seed);
  const body = (key: string, length: number): number[] => {
    const found = Array.from({ length }, () => Math.floor(random() * 256));
    for (const [at, byte] of SHAPES[key] ?? []) found[at] = byte;
    return found;
  };
  const standard = STANDARD.map(({ id, name }): RowImage => {
    const one = { id, body: body(`standard ${id}`, LONGEST) };
    return { name, id, extended: false, bytes: image({ standard: [one] }) };
  });
  const extended = EXTENDED.map(({ id, name }): RowImage => {
    const one = { id, body: body(`extended ${id}`, LONGEST) };
    // Errors of others are reported to root ports.
    const standard = [{ id: 0x10, body: expressBody(4) }];
    return {
      name,
      id,
      extended: true,
      bytes: image({ type: id === 1 || id === 0x1d ? 1 : 0, standard, extended: [one] }),
    };
  });
  return [...standard, ...extended];
}

/** As `lspci -D -xxxx` writes them: the first is 0000:00:00.0, and so on. */
export function dumpOf(images: readonly Uint8Array[]): string {
  return images
    .map((bytes, index) => {
      const lines = Array.from({ length: bytes.length / 16 }, (_, row) => {
        const cells = [...bytes.subarray(16 * row, 16 * row + 16)].map((byte) => byte.toString(16).padStart(2, '0'));
        return `${(16 * row).toString(16).padStart(2, '0')}: ${cells.join(' ')}`;
      });
      return `${addressOf(index)} Some device\n${lines.join('\n')}\n`;
    })
    .join('\n');
}

/** Address of the function with an index: 256 on a bus. */
export function addressOf(index: number): string {
  const hex = (number: number) => number.toString(16).padStart(2, '0');
  return `0000:${hex(index >> 8)}:${hex((index >> 3) & 0x1f)}.${index & 7}`;
}

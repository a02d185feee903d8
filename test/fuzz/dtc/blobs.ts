/**
 * Changed blobs that are still blobs for the most part: tokens, names, values and reservations are changed as what they are, and written
 * again with a header that fits them, unless that is what is changed. Of bytes alone, most changes end at the header.
 */
import { type DeviceNode, decode } from '../../../src/devicetree/index.ts';
import { type Material, mutate } from '../mutate.ts';
import type { Random } from '../random.ts';

type Token =
  | { kind: 'begin'; name: string }
  | { kind: 'property'; name: string; value: Buffer; length?: number; offset?: number }
  | { kind: 'word'; word: number };

interface Parts {
  tokens: Token[];
  reservations: [bigint, bigint][];
  bootCpu: number;
}

const END_NODE: Token = { kind: 'word', word: 2 };
const WORDS = [0, 1, 2, 3, 4, 4, 4, 5, 9, 0x01000000, 0xffff_ffff];
const NUMBERS = [0, 1, 2, 3, 4, 5, 8, 15, 16, 17, 18, 0xff, 0x100, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff];
const NAMES = [
  ...[
    '',
    'a',
    'a@0',
    'a@',
    '@',
    'a@1@2',
    'a/b',
    'name',
    'phandle',
    'linux,phandle',
    'compatible',
    'a b',
    'ä',
    '1#?',
    '\x01',
  ],
  ...['fragment@0', '__overlay__', '__symbols__', '__fixups__', '__local_fixups__', 'a'.repeat(31), 'a'.repeat(1024)],
];

/** A blob as its parts: of blobs that can be read alone. */
export function partsOf(blob: Buffer): Parts {
  const { root, reservations, bootCpu } = decode(blob);
  const tokens: Token[] = [];
  const add = ({ name, properties, children }: DeviceNode): void => {
    tokens.push({ kind: 'begin', name });
    for (const each of properties) tokens.push({ kind: 'property', name: each.name, value: Buffer.from(each.value) });
    children.forEach(add);
    tokens.push(END_NODE);
  };
  add(root);
  tokens.push({ kind: 'word', word: 9 });
  return { tokens, reservations: reservations.map(({ address, size }) => [address, size]), bootCpu };
}

/** One of two is changed as bytes, as well or alone. */
export function changedBlob(random: Random, seeds: readonly Parts[], material: Material): Buffer {
  const kind = random.below(4);
  if (kind === 0) return mutate(random, material);
  const blob = structured(random, seeds);
  return kind === 1 ? mutate(random, { ...material, seeds: [blob] }) : blob.subarray(0, material.maxBytes);
}

function structured(random: Random, seeds: readonly Parts[]): Buffer {
  const seed = random.pick(seeds);
  const parts: Parts = { ...seed, tokens: [...seed.tokens], reservations: [...seed.reservations] };
  for (let change = random.below(random.below(3) + 1); change >= 0; change--) changePart(random, parts, seeds);
  return written(random, parts);
}

function changePart(random: Random, { tokens, reservations }: Parts, seeds: readonly Parts[]): void {
  const at = random.below(tokens.length);
  const token = tokens[at];
  const other = random.below(tokens.length);
  const change = random.below(12);
  if (token === undefined || change === 0) tokens.splice(at, 0, { kind: 'word', word: random.pick(WORDS) });
  else if (change === 1) tokens.splice(at, 1);
  else if (change === 2) tokens.splice(at, 0, token);
  else if (change === 3) [tokens[at], tokens[other]] = [tokens[other]!, token];
  else if (change === 4) tokens.splice(at, 0, ...nodeAt(random.pick(seeds).tokens, random));
  else if (change === 5) tokens.splice(at, 0, { kind: 'begin', name: random.pick(NAMES) }, END_NODE);
  else if (change === 6) {
    const levels = 1 + random.below(70);
    const begin: Token = { kind: 'begin', name: 'n' };
    tokens.splice(at, 0, ...Array<Token>(levels).fill(begin), ...Array<Token>(levels).fill(END_NODE));
  } else if (change === 7) reservations.push([BigInt(random.word()), BigInt(random.pick(NUMBERS))]);
  else if (token.kind === 'begin') tokens[at] = { ...token, name: named(random, token.name) };
  else if (token.kind === 'property') tokens[at] = changedProperty(random, token);
}

/** The piece of a structure from a token on: a property, or a node with all that it has. */
function nodeAt(tokens: readonly Token[], random: Random): Token[] {
  const start = 1 + random.below(tokens.length - 1);
  let depth = 0;
  for (let at = start; at < tokens.length; at++) {
    const token = tokens[at]!;
    if (token.kind === 'begin') depth++;
    if (token === END_NODE) depth--;
    if (depth <= 0) return tokens.slice(start, at + 1);
  }
  return [];
}

function named(random: Random, name: string): string {
  if (random.below(2) === 0) return random.pick(NAMES);
  const at = random.below(name.length + 1);
  return name.slice(0, at) + String.fromCharCode(32 + random.below(95)) + name.slice(at + random.below(2));
}

function changedProperty(random: Random, token: Extract<Token, { kind: 'property' }>): Token {
  const { name, value } = token;
  const number = Buffer.alloc(4);
  number.writeUInt32BE(random.pick(NUMBERS));
  switch (random.below(7)) {
    case 0:
      return { ...token, name: named(random, name) };
    case 1:
      return { ...token, name: random.pick(['phandle', 'linux,phandle']), value: number };
    case 2:
      return { ...token, value: value.subarray(0, random.below(value.length + 1)) };
    case 3:
      return { ...token, value: Buffer.concat([value, number]) };
    case 4:
      return { ...token, length: (value.length + random.pick(NUMBERS)) >>> 0 };
    case 5:
      return { ...token, offset: random.pick(NUMBERS) };
    default:
      return { ...token, value: number };
  }
}

/** With the header that they have, or in one of six another. */
function written(random: Random, { tokens, reservations, bootCpu }: Parts): Buffer {
  const strings = [...new Set(tokens.flatMap((token) => (token.kind === 'property' ? [token.name] : [])))];
  const offsets = new Map<string, number>();
  let stringsBytes = 0;
  for (const name of strings) {
    offsets.set(name, stringsBytes);
    stringsBytes += Buffer.byteLength(name, 'latin1') + 1;
  }
  const words = (...numbers: number[]): Buffer => {
    const bytes = Buffer.alloc(4 * numbers.length);
    for (const [index, number] of numbers.entries()) bytes.writeUInt32BE(number, 4 * index);
    return bytes;
  };
  const padded = (bytes: Buffer): Buffer => Buffer.concat([bytes, Buffer.alloc(-bytes.length & 3)]);
  const structure = Buffer.concat(
    tokens.map((token) => {
      if (token.kind === 'word') return words(token.word);
      if (token.kind === 'begin') return Buffer.concat([words(1), padded(Buffer.from(`${token.name}\0`, 'latin1'))]);
      const { value, length = value.length, offset = offsets.get(token.name)! } = token;
      return Buffer.concat([words(3, length, offset), padded(value)]);
    }),
  );
  const list = Buffer.alloc(16 * (reservations.length + 1));
  for (const [index, [address, size]] of reservations.entries()) {
    list.writeBigUInt64BE(address, 16 * index);
    list.writeBigUInt64BE(size, 16 * index + 8);
  }
  const text = Buffer.from(strings.map((name) => `${name}\0`).join(''), 'latin1');
  const at = { list: 40, structure: 40 + list.length, strings: 40 + list.length + structure.length };
  const total = at.strings + text.length;
  const header = words(
    ...[0xd00dfeed, total, at.structure, at.strings, at.list, random.below(8) === 0 ? 16 : 17, 16],
    ...[bootCpu, text.length, structure.length],
  );
  if (random.below(6) === 0) {
    const field = 4 * random.below(10);
    const number = random.pick(NUMBERS);
    // Near what was there, or something else.
    header.writeUInt32BE(random.below(2) === 0 ? number : (header.readUInt32BE(field) + number) >>> 0, field);
  }
  return Buffer.concat([header, list, structure, text]);
}

import { describe, expect, it } from 'vitest';
import { type DeviceTree, decode, encode, parseDts } from '../index.ts';
import { HEADER } from './layout.ts';

const TREE = parseDts('/dts-v1/; /memreserve/ 0x1000 0x10; / { a = "x"; n@1 { long-name = <1 2>; }; };');
const blob = (version: 16 | 17 = 17) => Buffer.from(encode(TREE, { version }));
const STRUCT = blob().readUInt32BE(HEADER.structOffset);

const withWord = (at: number, value: number, bytes = blob()): Buffer => {
  bytes.writeUInt32BE(value, at);
  return bytes;
};

describe('a blob', () => {
  it.each([16, 17] as const)('of version %i reads as it was written', (version) => {
    expect(decode(blob(version))).toEqual(TREE);
    expect(blob(version).equals(encode(decode(blob(version)), { version }))).toBe(true);
  });

  it('may have bytes behind it, NOPs in it, and lie anywhere in memory', () => {
    expect(decode(Buffer.concat([blob(), Buffer.alloc(7)]))).toEqual(TREE);
    const bytes = blob();
    const [from, to] = [STRUCT + 8, STRUCT + 8 + 16];
    for (let at = from; at < to; at += 4) bytes.writeUInt32BE(4, at);
    expect(decode(bytes).root.properties).toEqual([]);
    expect(decode(new Uint8Array(Buffer.concat([Buffer.alloc(3), blob()])).subarray(3))).toEqual(TREE);
  });

  it('is not kept: what is decoded does not change with it', () => {
    const bytes = blob();
    const tree = decode(bytes);
    bytes.fill(0xff);
    expect(tree).toEqual(TREE);
  });

  it.each<[string, Buffer, RegExp]>([
    ['nothing', Buffer.alloc(0), /ends within its header/],
    ['text', Buffer.from('/dts-v1/; / { some = "source"; };   ...'), /begins with 0x2f647473/],
    ['version 3', withWord(HEADER.version, 3), /version 3/],
    ['a version that cannot be read', withWord(HEADER.lastCompatible, 18), /readable as 18/],
    ['a size beyond its end', withWord(HEADER.totalSize, 0xffff_ffff), /it says it has 4294967295 bytes/],
    ['a size of nothing', withWord(HEADER.totalSize, 8), /less than its header/],
    ['a block in its header', withWord(HEADER.structOffset, 8), /a block begins at 0x8/],
    ['a block behind its end', withWord(HEADER.stringsOffset, 0x7fff_ffff), /a block begins at 0x7fffffff/],
    ['a block between words', withWord(HEADER.structOffset, STRUCT + 2), /multiple of 4/],
    ['reservations between words', withWord(HEADER.reservationsOffset, 44), /multiple of 8/],
    ['a block that is too long', withWord(HEADER.structSize, 0xffff_fff0), /a block is longer than the blob/],
    ['a block that is too short', withWord(HEADER.structSize, 8), /the structure block ends too early/],
    ['no strings', withWord(HEADER.stringsSize, 0), /name offset 0x0 is outside/],
    ['strings without an end', withWord(HEADER.stringsSize, 1), /a name has no end/],
    ['reservations without an end', withWord(HEADER.reservationsOffset, (blob().length - 8) & ~7), /no end/],
    ['no token', withWord(STRUCT, 7), /0x7 is no token/],
    ['an end before the root', withWord(STRUCT, 9), /0x9 is no token/],
    ['a property without a node', withWord(STRUCT, 3), /0x3 is no token/],
    ['a root with a name', withWord(STRUCT + 4, 0x61000000), /the root has a name/],
    ['a value beyond the block', withWord(STRUCT + 12, 0x7fff_ffff), /the value of \/:a is longer/],
    ['a name offset beyond the block', withWord(STRUCT + 16, 99), /name offset 0x63 is outside/],
    ['a second root', withWord(blob().readUInt32BE(HEADER.stringsOffset) - 4, 1), /does not end with its root/],
  ])('%s is refused', (_, bytes, message) => expect(() => decode(bytes)).toThrow(message));

  it('with nodes beyond the limit of depth is refused', () => {
    const begin = Buffer.from([0, 0, 0, 1, 0x61, 0, 0, 0]);
    const deep = Buffer.concat([
      blob().subarray(0, STRUCT),
      Buffer.from([0, 0, 0, 1, 0, 0, 0, 0]),
      ...Array(80).fill(begin),
    ]);
    const bytes = withWord(HEADER.totalSize, deep.length, deep);
    bytes.writeUInt32BE(deep.length, HEADER.stringsOffset);
    bytes.writeUInt32BE(0, HEADER.stringsSize);
    bytes.writeUInt32BE(deep.length - STRUCT, HEADER.structSize);
    expect(() => decode(bytes)).toThrow(/more than 64 levels of nodes/);
  });
});

describe('a tree that is no tree', () => {
  const node = (name: string, more: Partial<DeviceTree['root']> = {}) => ({
    name,
    properties: [],
    children: [],
    ...more,
  });
  const property = (name: string) => ({ name, value: new Uint8Array() });
  it.each<[DeviceTree['root'], RegExp]>([
    [node('root'), /\/: the name of the root is empty/],
    [node('', { children: [node('')] }), /only the root/],
    [node('', { children: [node('a/b')] }), /"a\/b" is no name of a node/],
    [node('', { children: [node('a'), node('a')] }), /"a" is there twice/],
    [node('', { properties: [property('a\0')] }), /is no name of a property/],
    [node('', { properties: [property('a'), property('a')] }), /"a" is there twice/],
  ])('%j is not written', (root, message) => {
    expect(() => encode({ reservations: [], bootCpu: 0, root })).toThrow(message);
  });

  it.each<[Partial<DeviceTree>, RegExp]>([
    [{ bootCpu: 2 ** 32 }, /bootCpu: 4294967296 is no whole number of 32 bits/],
    [{ bootCpu: -1 }, /bootCpu: -1/],
    [{ bootCpu: 0.5 }, /bootCpu: 0.5/],
    [{ reservations: [{ address: 1n << 64n, size: 1n }] }, /reservations: 18446744073709551616 is no .* 64 bits/],
    [{ reservations: [{ address: 0n, size: -1n }] }, /reservations: -1/],
  ])('nor are numbers that would be cut off (%#)', (change, message) => {
    const tree = { reservations: [], bootCpu: 0, root: node('') };
    expect(() => encode({ ...tree, ...change })).toThrow(message);
    const most = { bootCpu: 0xffff_ffff, reservations: [{ address: (1n << 64n) - 1n, size: (1n << 64n) - 1n }] };
    expect(decode(encode({ ...tree, ...most }))).toEqual({ ...tree, ...most });
  });
});

it('shares ends of names in the strings block, also of long ones', () => {
  const long = 'x'.repeat(100);
  const tree = parseDts(`/dts-v1/; / { ${long}; ${long.slice(10)}; ${long.slice(60)}; };`);
  expect(Buffer.from(encode(tree)).readUInt32BE(HEADER.stringsSize)).toBe(101);
  expect(decode(encode(tree))).toEqual(tree);
});

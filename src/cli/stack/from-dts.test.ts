import { expect, it } from 'vitest';
import { decode, encode, parseDts, printDts } from '../../devicetree/index.ts';
import { baselineTree } from '../../devicetree/multikernel/index.ts';
import { parseStack } from '../../stack/contract.ts';
import { isDts, stackOfDts, stackOfTree } from './from-dts.ts';

const CPUS = [0, 2, 4, 6, 1, 3].map((apicId, id) => ({ id, apicId }));
const GIB = 2 ** 30;
const FUNCTION = { kind: 'pci', address: '0000:09:00.1', vendor: 0x8086, device: 0x154c } as const;
const dts = (change = {}) =>
  printDts(baselineTree({ cpus: [4, 1], memory: [{ bytes: GIB, node: 0 }], devices: [FUNCTION], ...change }));

it('a pool dumped as a device tree comes back as the stack file that makes it', () => {
  expect([isDts(dts()), isDts(`// of pk\n${dts()}`), isDts('name: x\n')]).toEqual([true, true, false]);
  const text = stackOfDts(dts(), 'pool.dts', CPUS);
  const { stack, problems } = parseStack(text, { directory: '/', defaultName: 'x' });
  expect(problems).toEqual([]);
  // Of a name of its own: what a stack of the same name lacks is removed.
  expect(stack).toMatchObject({ name: 'pool-of-device-tree' });
  expect(stackOfTree(decode(encode(parseDts(dts()))), 'pool.dtb', CPUS)).toBe(text);
  expect(text).toContain(JSON.stringify({ cpus: '2,4', memory: { 0: '1048576KiB' }, devices: ['0000:09:00.1'] }));
});

it('is told by what stands outside of comments, in time for a file of nothing else', () => {
  expect([isDts('// a\r\n\n//b /dts-v1/\n /dts-v1/ ;'), isDts('// a /dts-v1/;\n')]).toEqual([true, false]);
  expect(isDts('//a'.repeat(100_000))).toBe(false);
});

it('one of another machine, or of something else, is refused', () => {
  expect(() => stackOfDts(dts({ cpus: [99] }), 'pool.dts', CPUS)).toThrow('no CPU of this machine has the APIC id 99');
  expect(() => stackOfDts(dts({ memory: [{ bytes: GIB }] }), 'pool.dts', CPUS)).toThrow('numa-node-id');
  expect(() => stackOfDts('/dts-v1/;\n/ { };\n', 'pool.dts', CPUS)).toThrow('not the tree of a pool');
  expect(() => stackOfDts('/dts-v1/;\n/ {', 'pool.dts', CPUS)).toThrow(/pool.dts:2/);
  expect(() => stackOfDts(dts({ memory: [{ bytes: 291, node: 0 }] }), 'pool.dts', CPUS)).toThrow(
    /^pool\.dts: \/resources\/memory@0: .*291/,
  );
});

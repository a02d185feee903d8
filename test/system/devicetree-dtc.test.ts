/** The device-tree codec against `dtc` and `fdtoverlay`: whatever either accepts has to come out the same, byte for byte. */
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { applyOverlay, type DeviceTree, decode, encode, filesBelow, parseDts, printDts } from 'polykernel/devicetree';
import { describe, expect, it } from 'vitest';
import { anyDeviceTree } from '../support/devicetree-sources.ts';
import { dtc, dtcVersion, fdtoverlay, hasDtc } from '../support/dtc.ts';

const FIXTURES = join(import.meta.dirname, '../fixtures/devicetree');
const SOURCES = globSync(['*.dts', 'overlays/*.dts'], { cwd: FIXTURES }).sort();
const read = (name: string) => readFileSync(join(FIXTURES, name));
const files = filesBelow([FIXTURES]);
const bytes = (tree: DeviceTree, version: 16 | 17 = 17) => Buffer.from(encode(tree, { version }));

// Set-up installs dtc; who has only the checkout has nothing to hold the codec against.
describe.skipIf(!hasDtc)('as dtc does', () => {
  it('has fixtures', () => expect(SOURCES.length).toBeGreaterThan(15));

  it.each(SOURCES)('%s becomes the same blob, with and without symbols and aliases, in both versions', async (name) => {
    const file = join(FIXTURES, name);
    for (const [args, options, version] of [
      [[], {}, 17],
      [['-V', '16'], {}, 16],
      [['-@'], { symbols: true }, 17],
      [['-A'], { aliases: true }, 17],
      [['-@', '-A', '-b', '7'], { symbols: true, aliases: true, bootCpu: 7 }, 17],
    ] as const) {
      const theirs = await dtc(read(name), ['-O', 'dtb', ...args], FIXTURES);
      expect(theirs.said, args.join(' ')).toBe('');
      const ours = bytes(parseDts(read(name), { file, files, ...options }), version);
      expect(ours.equals(theirs.output!), `${name} ${args.join(' ')}`).toBe(true);
    }
  });

  it.each(SOURCES)('what is printed of %s means the same to dtc, and what dtc prints of it to us', async (name) => {
    const { output: blob } = await dtc(read(name), ['-@', '-O', 'dtb'], FIXTURES);
    const boot = decode(blob!).bootCpu;
    const theirs = await dtc(printDts(decode(blob!)), ['-O', 'dtb', '-b', String(boot)]);
    expect(theirs.output?.equals(blob!), theirs.said).toBe(true);
    const printed = await dtc(blob!, ['-I', 'dtb', '-O', 'dts']);
    expect(bytes(parseDts(printed.output!, { bootCpu: boot })).equals(blob!)).toBe(true);
  });

  it('any tree becomes the same blob, which both read back', async () => {
    await fc.assert(
      fc.asyncProperty(anyDeviceTree, async (source) => {
        const theirs = await dtc(source, ['-@', '-O', 'dtb']);
        expect(theirs.output, theirs.said + source).toBeDefined();
        const ours = bytes(parseDts(source, { symbols: true }));
        expect(ours.equals(theirs.output!), source).toBe(true);
        expect(bytes(decode(ours)).equals(ours)).toBe(true);
        const printed = await dtc(printDts(decode(ours)), ['-O', 'dtb', '-b', String(decode(ours).bootCpu)]);
        expect(printed.output?.equals(ours), printed.said).toBe(true);
      }),
      { numRuns: 60, seed: 20 },
    );
  });

  const overlay = (name: string) => parseDts(read(`overlays/${name}.dts`), { symbols: true });

  it.each([
    [['fragments']],
    [['sugar']],
    [['fragments', 'second']],
    [['sugar', 'second']],
    // Applied again, a node has the phandle of the newer overlay; since libfdt 1.7.1 it keeps the former one.
    ...(dtcVersion < 1.007001 ? [[['sugar', 'sugar', 'fragments']]] : []),
  ])('%s apply as fdtoverlay applies them', async (names) => {
    const base = overlay('base');
    const overlays = names.map(overlay);
    const theirs = await fdtoverlay(
      encode(base),
      overlays.map((each) => encode(each)),
    );
    expect(theirs.said).toBe('');
    expect(bytes(overlays.reduce(applyOverlay, base)).equals(theirs.output!)).toBe(true);
  });

  it.each([
    ['a label that the tree does not have', '&nowhere { };'],
    ['a path that the tree does not have', '&{/nowhere} { };'],
    ['fixups of what is not there', '/ { __fixups__ { gpio = "/a:b:0"; }; };'],
    ['fixups that are none', '/ { __fixups__ { gpio = "/a"; }; };'],
    ['an offset outside', '/ { a { b = [00 00]; }; __fixups__ { gpio = "/a:b:0"; }; };'],
    ['local fixups of what is not there', '/ { __local_fixups__ { a { b = <0>; }; }; };'],
    ['local fixups that are no cells', '/ { b = <1>; __local_fixups__ { b = [00]; }; };'],
    ['phandles beyond the last', '/ { a { phandle = <0xfffffff0>; }; };'],
    ['a fragment without a target', '/ { fragment@0 { __overlay__ { }; }; };'],
    ['a symbol that is no path', '/ { __symbols__ { a = "b"; }; };'],
    ['a symbol in a fragment that is not there', '/ { __symbols__ { a = "/fragment@9/__overlay__/b"; }; };'],
  ])('%s: both refuse', async (_, text) => {
    const added = parseDts(`/dts-v1/; /plugin/; / { }; ${text}`);
    expect((await fdtoverlay(encode(overlay('base')), [encode(added)])).output).toBeUndefined();
    expect(() => applyOverlay(overlay('base'), added)).toThrow(/^overlay, \//);
  });
});

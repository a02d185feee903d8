/**
 * Changed sources and blobs are accepted and refused as `dtc` does it, and what both accept comes out the same (dtc/compare.ts). The same ones
 * in each run; `npm run fuzz:devicetree` has others, and more.
 */
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { decode, encode, parseDts, printDts } from '../../src/devicetree/index.ts';
import { dtc, hasDtc } from '../support/dtc.ts';
import { compareWithDtc } from './dtc/compare.ts';
import { canAskDtc } from './dtc/verdicts.ts';

// Set-up installs dtc and gcc; without them there is nothing to compare with, here and below.
it.skipIf(!canAskDtc).each([
  ['sources', 2000],
  ['blobs', 5000],
] as const)('%s, %i of them', async (kind, runs) => {
  const { inputs, fault, mostMs, outcomes } = await compareWithDtc(kind, { runs, seed: 1 });
  expect(fault && `${fault.said}\n${fault.input.toString(kind === 'blobs' ? 'hex' : 'latin1')}`).toBeUndefined();
  expect(inputs).toBe(runs);
  expect(mostMs).toBeLessThan(1000);
  // Changes that leave nothing to compare would show nothing.
  expect(outcomes.get('both accept, the same blob')).toBeGreaterThan(runs / 10);
  expect(outcomes.get('both refuse')).toBeGreaterThan(runs / 10);
});

// Those of a package of kernels, unpacked, which is too large to be here: DTC_BLOBS=DIRECTORY.
const { DTC_BLOBS } = process.env;
it.skipIf(!hasDtc || DTC_BLOBS === undefined)('all blobs below a directory, and the sources made of them', async () => {
  const paths = globSync('**/*.dtb', { cwd: DTC_BLOBS! });
  expect(paths).not.toEqual([]);
  for (const path of paths) {
    const blob = readFileSync(join(DTC_BLOBS!, path));
    const tree = decode(blob);
    const theirs = async (input: string | Uint8Array, ...args: string[]) => (await dtc(input, args)).output!;
    const copy = await theirs(blob, '-I', 'dtb', '-O', 'dtb');
    expect(copy.equals(encode(tree)), path).toBe(true);
    // Which CPU boots no source says, and dtc makes the first of it.
    const cpu = ['-b', String(tree.bootCpu)];
    expect((await theirs(printDts(tree), '-I', 'dts', '-O', 'dtb', ...cpu)).equals(copy), path).toBe(true);
    const source = await theirs(blob, '-I', 'dtb', '-O', 'dts');
    const { bootCpu } = tree;
    const compiled = encode(parseDts(source, { file: path, bootCpu }));
    expect((await theirs(source, '-I', 'dts', '-O', 'dtb', ...cpu)).equals(compiled), path).toBe(true);
  }
});

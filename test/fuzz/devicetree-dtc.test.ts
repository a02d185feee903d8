/**
 * Changed sources and blobs are accepted and refused as `dtc` does it, and what both accept comes out the same. Where the two
 * differ it is for one of the reasons that docs/devicetree.md has.
 */
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { decode, encode, filesBelow, parseDts, printDts } from '../../src/devicetree/index.ts';
import { PolykernelError } from '../../src/sys/errors.ts';
import { dtc, hasDtc } from '../support/dtc.ts';
import { mutate } from './mutate.ts';
import { Random } from './random.ts';
import { corpus } from './target.ts';
import { findTarget } from './targets/index.ts';

const RUNS = Number(process.env.DTC_RUNS ?? 1000);
const FIXTURES = join(import.meta.dirname, '../fixtures/devicetree');
const files = filesBelow([FIXTURES]);

/** Why we refuse what dtc accepts: what readers disagree on, what no source can say, and what hides a mistake. */
const STRICTER = [
  /is no name of a property$/,
  /the root has a name$/,
  /the structure block ends too early$/,
  /readable as \d+, is not 16 or 17$/,
  /a property follows a child of its node$/,
  /a block begins at 0x[0-9a-f]+$/,
  /a block is not on a multiple of \d$/,
  /there is no file/,
  /the root was deleted/,
  /in this overlay; nodes of other trees have to be named by labels/,
  /longer than 1024 bytes|more than \d+ /,
];
/** Why we accept what dtc refuses, or dies of: of blobs it also checks phandles and `name`; comments may end with the file. */
const LAXER = /\((explicit_phandles|name_properties|name_is_string|omit_unused_nodes)\)|FDT_BEGIN_NODE|FDT_END/;

/** `undefined` when both agree, or differ for a known reason. */
async function difference(input: Buffer, kind: 'dts' | 'dtb'): Promise<string | undefined> {
  const ours = compiled(input, kind);
  const theirs = await dtc(input, kind === 'dts' ? ['-O', 'dtb'] : ['-I', 'dtb', '-O', 'dtb'], FIXTURES);
  if (typeof ours !== 'string' && theirs.output !== undefined)
    return ours.equals(theirs.output) || hasName(input) ? undefined : 'both accept it, and give different blobs';
  if (typeof ours === 'string' && theirs.output !== undefined)
    return STRICTER.some((reason) => reason.test(ours.split('\n', 1)[0]!)) ? undefined : `only we refuse: ${ours}`;
  if (typeof ours === 'string' || LAXER.test(theirs.said) || theirs.said === '') return undefined;
  return `only dtc refuses: ${theirs.said}`;
}

/** Of a blob dtc leaves out properties called `name`. */
const hasName = (input: Buffer): boolean => input.includes('name\0') && input.readUInt32BE(0) === 0xd00dfeed;

function compiled(input: Buffer, kind: 'dts' | 'dtb'): Buffer | string {
  try {
    return Buffer.from(encode(kind === 'dtb' ? decode(input) : parseDts(input, { file: join(FIXTURES, 'x'), files })));
  } catch (error) {
    if (error instanceof PolykernelError) return error.message;
    throw error;
  }
}

const TOKEN = /"(?:[^"\\]|\\.)*"|\/[a-z0-9-]+\/|&\{[^}]*\}|&?[\w,.+*#?@-]+:?|\s+|./gs;

/** Leaves out, repeats, swaps and replaces tokens, and changes characters in them. */
function changed(random: Random, sources: readonly (readonly string[])[]): Buffer {
  const tokens = [...random.pick(sources)];
  for (let change = random.below(3); change >= 0; change--) {
    const at = random.below(tokens.length);
    const other = random.below(tokens.length);
    const token = tokens[at]!;
    const cut = random.below(token.length);
    [
      () => tokens.splice(at, 1),
      () => tokens.splice(at, 0, tokens[other]!),
      () => tokens.splice(at, 1, random.pick(random.pick(sources))),
      () => tokens.splice(at, 1, ...tokens.splice(other, 1, token)),
      () =>
        tokens.splice(at, 1, token.slice(0, cut) + String.fromCharCode(32 + random.below(95)) + token.slice(cut + 1)),
    ][random.below(5)]!();
  }
  return Buffer.from(tokens.join(''), 'latin1');
}

// Set-up installs dtc; without it there is nothing to compare with, here and below.
it.skipIf(!hasDtc)(`${RUNS} sources`, async () => {
  const random = new Random(Number(process.env.DTC_SEED ?? 1));
  const names = globSync(['*.dts', 'overlays/*.dts'], { cwd: FIXTURES }).sort();
  const sources = names.map((name) => readFileSync(join(FIXTURES, name), 'latin1').match(TOKEN)!);
  for (let run = 0; run < RUNS; run++) {
    const input = changed(random, sources);
    expect(await difference(input, 'dts'), input.toString('latin1')).toBeUndefined();
  }
});

it.skipIf(!hasDtc)(`${RUNS} blobs`, async () => {
  const random = new Random(Number(process.env.DTC_SEED ?? 1));
  const target = findTarget('devicetree-blob');
  const seeds = corpus(target.name).map(({ bytes }) => bytes);
  const material = {
    seeds,
    dictionary: target.dictionary.map((word) => Buffer.from(word as Uint8Array)),
    maxBytes: 4096,
  };
  for (let run = 0; run < RUNS; run++) {
    const input = mutate(random, material);
    expect(await difference(input, 'dtb'), input.toString('hex')).toBeUndefined();
  }
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

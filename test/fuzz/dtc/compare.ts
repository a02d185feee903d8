/**
 * Changed sources and blobs are accepted and refused as `dtc` does it, and what both accept comes out the same. Where the two differ it is for
 * one of the reasons that docs/devicetree.md has, which are counted.
 */
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { decode, encode, filesBelow, parseDts } from '../../../src/devicetree/index.ts';
import { PolykernelError } from '../../../src/sys/errors.ts';
import type { Compiled } from '../../support/dtc.ts';
import { Random } from '../random.ts';
import { corpus } from '../target.ts';
import { findTarget } from '../targets/index.ts';
import { changedBlob, partsOf } from './blobs.ts';
import { changedSource, tokensOf } from './sources.ts';
import { Dtc } from './verdicts.ts';

export type Kind = 'sources' | 'blobs';

const FIXTURES = join(import.meta.dirname, '../../fixtures/devicetree');
const files = filesBelow([FIXTURES]);
/** So many at a time: dtc is at work on the next ones meanwhile. */
const BATCH = 500;
const MOST_BYTES = 4096;

/** Why we refuse what dtc accepts: what readers disagree on, what no source can say, and what hides a mistake. */
const STRICTER = [
  /is no name of a property$/,
  /the root has a name$|only the root has an empty name$/,
  /the structure block ends too early$|is longer than the block$/,
  /readable as \d+, is not 16 or 17$/,
  /a property follows a child of its node$/,
  /a block begins at 0x[0-9a-f]+$/,
  /a block is not on a multiple of \d$/,
  /there is no file/,
  /this character has no end$/,
  /the root was deleted/,
  /in this overlay; nodes of other trees have to be named by labels/,
  /longer than 1024 bytes|more than \d+ |no end within 1024 bytes/,
];
/** Why we accept what dtc refuses: of blobs it also checks phandles and `name`; comments may end with the file. */
const LAXER = /\((explicit_phandles|name_properties|name_is_string|omit_unused_nodes)\)|FDT_BEGIN_NODE|FDT_END/;

/** What came of one input: a difference that has no reason is a fault. */
interface Judged {
  outcome: string;
  fault?: string;
}

function judge(input: Buffer, ours: Buffer | string, theirs: Compiled): Judged {
  if (typeof ours !== 'string' && theirs.output !== undefined) {
    if (ours.equals(theirs.output)) return { outcome: 'both accept, the same blob' };
    if (hasName(input)) return { outcome: 'both accept: a property `name`, which dtc leaves out' };
    return { outcome: 'fault', fault: 'both accept it, and give different blobs' };
  }
  if (typeof ours === 'string' && theirs.output !== undefined) {
    const reason = STRICTER.find((each) => each.test(ours.split('\n', 1)[0]!));
    if (reason === undefined) return { outcome: 'fault', fault: `only we refuse: ${ours}` };
    return { outcome: `only we refuse: ${reason.source}` };
  }
  if (typeof ours === 'string') return { outcome: theirs.said === '' ? 'refused here; dtc dies' : 'both refuse' };
  if (theirs.said === '') return { outcome: 'accepted here; dtc dies' };
  const [reason] = LAXER.exec(theirs.said) ?? [];
  if (reason === undefined) return { outcome: 'fault', fault: `only dtc refuses: ${theirs.said}` };
  return { outcome: `only dtc refuses: ${reason}` };
}

/** Of a blob dtc leaves out properties called `name`. */
const hasName = (input: Buffer): boolean =>
  input.length >= 4 && input.readUInt32BE(0) === 0xd00dfeed && input.includes('name\0');

/** Throws what is no error for people. */
function compiled(input: Buffer, kind: Kind): Buffer | string {
  try {
    const tree = kind === 'blobs' ? decode(input) : parseDts(input, { file: join(FIXTURES, 'x'), files });
    return Buffer.from(encode(tree));
  } catch (error) {
    if (error instanceof PolykernelError) return error.message;
    throw error;
  }
}

function maker(kind: Kind, random: Random): () => Buffer {
  const names = globSync(['*.dts', 'overlays/*.dts'], { cwd: FIXTURES }).sort();
  const sources = names.map((name) => readFileSync(join(FIXTURES, name)));
  if (kind === 'sources') {
    const tokens = sources.map((source) => tokensOf(source.toString('latin1')));
    return () => changedSource(random, tokens);
  }
  const target = findTarget('devicetree-blob');
  const own = names.map((name, index) =>
    Buffer.from(encode(parseDts(sources[index]!, { file: join(FIXTURES, name), files, symbols: true }))),
  );
  const seeds = [...corpus(target.name).map(({ bytes }) => bytes), ...own];
  const dictionary = target.dictionary.map((word) => Buffer.from(word as Uint8Array));
  const material = { seeds, dictionary, maxBytes: MOST_BYTES };
  const parts = seeds.map(partsOf);
  return () => changedBlob(random, parts, material);
}

export interface Comparison {
  inputs: number;
  /** How many inputs had each outcome. */
  outcomes: ReadonlyMap<string, number>;
  /** Most milliseconds of CPU that one took here. */
  mostMs: number;
  /** An input without a reason to differ, with what is wrong. */
  fault: { input: Buffer; said: string } | undefined;
}

export interface Task {
  runs: number;
  seed: number;
  /** Is told of inputs that are done. */
  progress?: (done: number) => void;
  /** Ends it before, with what is done by then. */
  signal?: AbortSignal;
}

/** Ends at the first fault. */
export async function compareWithDtc(
  kind: Kind,
  { runs, seed, progress = () => {}, signal }: Task,
): Promise<Comparison> {
  const next = maker(kind, new Random(seed));
  const outcomes = new Map<string, number>();
  const dtc = await Dtc.start(kind === 'sources' ? ['-O', 'dtb'] : ['-I', 'dtb', '-O', 'dtb'], FIXTURES);
  let mostMs = 0;
  let inputs = 0;
  try {
    while (inputs < runs && !signal?.aborted) {
      const batch = Array.from({ length: Math.min(BATCH, runs - inputs) }, next);
      const asked = dtc.verdicts(batch);
      asked.catch(() => {});
      const ours = batch.map((input) => {
        const before = process.threadCpuUsage();
        const result = compiled(input, kind);
        const { user, system } = process.threadCpuUsage(before);
        mostMs = Math.max(mostMs, (user + system) / 1000);
        return result;
      });
      for (const [index, theirs] of (await asked).entries()) {
        const { outcome, fault } = judge(batch[index]!, ours[index]!, theirs);
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
        inputs++;
        if (fault !== undefined) return { inputs, outcomes, mostMs, fault: { input: batch[index]!, said: fault } };
      }
      progress(inputs);
    }
    return { inputs, outcomes, mostMs, fault: undefined };
  } finally {
    await dtc.end();
  }
}

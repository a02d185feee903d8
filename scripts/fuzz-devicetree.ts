/**
 * Compares the device-tree codec with Debian's dtc over changed blobs and sources: `npm run fuzz:devicetree [-- --blobs N --sources N --seed S]`.
 * Ends with 1 at an input that one accepts and the other refuses, or that becomes another blob, without one of the reasons of
 * docs/devicetree.md; at an error that is none for people; and at one that takes a second. Ctrl-C ends it with the counts so far.
 */
import { randomInt } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { compareWithDtc, type Kind } from '../test/fuzz/dtc/compare.ts';
import { canAskDtc } from '../test/fuzz/dtc/verdicts.ts';
import { argumentsOrHelp } from './usage.ts';

const USAGE =
  'usage: npm run fuzz:devicetree -- [--blobs N] [--sources N] [--seed S]\nWithout numbers: 1,000,000 blobs and 100,000 sources.';
const LONGEST_MS = 1000;
/** What Node and its compiled code take, several times over. */
const MOST_MIB = 1024;
const PROGRESS = 10_000;

const values = readArguments();
const number = (name: keyof typeof values, otherwise: number): number => {
  const text = values[name] ?? String(otherwise);
  if (!/^\d{1,10}$/.test(text)) refuse(`--${name}: ${text} is not a whole number`);
  return Number(text);
};
const runs: Record<Kind, number> = { blobs: number('blobs', 1_000_000), sources: number('sources', 100_000) };
const seed = number('seed', randomInt(2 ** 31));
if (!canAskDtc) refuse('there is no dtc to compare with, or no gcc: apt-get install device-tree-compiler gcc');

const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());

console.log(`seed ${seed}`);
for (const kind of ['blobs', 'sources'] as const) if (runs[kind] > 0) await compare(kind);
if (stop.signal.aborted) process.exitCode = 130;

async function compare(kind: Kind): Promise<void> {
  const begun = performance.now();
  const seconds = () => Math.round((performance.now() - begun) / 1000);
  const progress = (done: number) => {
    if (done % PROGRESS === 0) console.log(`  ${done} ${kind}, ${seconds()} s`);
  };
  const task = { runs: runs[kind], seed, progress, signal: stop.signal };
  const { inputs, outcomes, mostMs, fault } = await compareWithDtc(kind, task);
  const mebibytes = Math.round(process.resourceUsage().maxRSS / 1024);
  console.log(
    `${inputs} ${kind} in ${seconds()} s; none took more than ${mostMs.toFixed(0)} ms of CPU here, nor all more than ${mebibytes} MiB`,
  );
  for (const [outcome, count] of [...outcomes].sort(([, one], [, other]) => other - one))
    console.log(`  ${count}\t${outcome}`);
  if (mostMs > LONGEST_MS || mebibytes > MOST_MIB) process.exitCode = 1;
  if (fault === undefined) return;
  process.exitCode = 1;
  const file = join(tmpdir(), `pk-devicetree-${kind}-${seed}-${inputs}`);
  writeFileSync(file, fault.input);
  console.log(`${fault.said.trim()}\nThe input is in ${file}.`);
}

function readArguments() {
  try {
    const options = { blobs: { type: 'string' }, sources: { type: 'string' }, seed: { type: 'string' } } as const;
    return parseArgs({ args: argumentsOrHelp(USAGE), options }).values;
  } catch (error) {
    refuse((error as Error).message);
  }
}

function refuse(reason: string): never {
  console.error(`fuzz:devicetree: ${reason}`);
  process.exit(2);
}

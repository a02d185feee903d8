/** Fuzzes one target in a thread of its own, so that one who watches can end it: see fuzzer.ts. */
import { parentPort, workerData } from 'node:worker_threads';
import { judge } from './judge.ts';
import { mutate } from './mutate.ts';
import { Random } from './random.ts';
import { countSteps, mostSteps } from './steps.ts';
import { corpus, type Target } from './target.ts';
import { findTarget } from './targets/index.ts';

export interface Job {
  name: string;
  seed: number;
  /** How many inputs, and for how long at most. */
  runs: number;
  seconds: number;
  /** Two words, the number of inputs begun and the length of the present one, then its bytes. */
  shared: SharedArrayBuffer;
}

export interface Report {
  inputs: number;
  /** Most steps for an input, with its bytes. */
  steps: number;
  bytes: number;
  failure: { fault: string; input: Uint8Array } | undefined;
}

/** Of the inputs that took longest so many are counted in steps. */
const COUNTED = 12;
/** The first inputs take long because code is still being compiled. */
const WARM = 1000;
/** Seeds found on the way. */
const MOST_FOUND = 400;

const job = workerData as Job;
const begun = new Int32Array(job.shared, 0, 2);
const present = new Uint8Array(job.shared, 8);
/** A promise that nobody waits for would end the daemon. */
let stray: unknown;
process.on('unhandledRejection', (reason) => {
  stray = reason;
});

parentPort!.postMessage(await fuzz(findTarget(job.name)));

async function fuzz(target: Target): Promise<Report> {
  const random = new Random(job.seed);
  const dictionary = target.dictionary.map((word) => Buffer.from(word as Uint8Array));
  const seeds = corpus(target.name).map(({ bytes }) => bytes);
  const material = { seeds: [...seeds], dictionary, maxBytes: target.maxBytes ?? 4096 };
  const shapes = new Set<string>();
  const heaviest: { input: Buffer; cpu: number }[] = [];
  const end = performance.now() + job.seconds * 1000;
  let inputs = 0;
  for (; inputs < job.runs && (inputs % 256 !== 0 || performance.now() < end); inputs++) {
    const changed = inputs < seeds.length ? seeds[inputs]! : mutate(random, material);
    const input = target.repair && inputs >= seeds.length ? target.repair(changed) : changed;
    const { fault, shape, cpu } = await watched(target, input);
    if (fault !== undefined)
      return { inputs, steps: 0, bytes: 0, failure: { fault, input: await smaller(target, input, fault) } };
    if (material.seeds.length < MOST_FOUND && !shapes.has(shape)) {
      shapes.add(shape);
      if (input.length <= 1024) material.seeds.push(input);
    }
    if (inputs < WARM) continue;
    if (heaviest.length < COUNTED || cpu > heaviest.at(-1)!.cpu) {
      heaviest.push({ input, cpu });
      heaviest.sort((a, b) => b.cpu - a.cpu);
      heaviest.length = Math.min(heaviest.length, COUNTED);
    }
  }
  return { inputs, ...(await counted(target, heaviest)) };
}

/** Judges an input after it was written to where it can be seen from outside. */
async function watched(target: Target, input: Buffer) {
  present.set(input);
  Atomics.store(begun, 1, input.length);
  Atomics.add(begun, 0, 1);
  const verdict = await judge(target, input);
  if (stray === undefined) return verdict;
  const fault = `leaves a rejection unhandled: ${(stray as Error).stack ?? stray}`;
  stray = undefined;
  return { ...verdict, fault };
}

async function counted(target: Target, heaviest: readonly { input: Buffer }[]): Promise<Omit<Report, 'inputs'>> {
  let most = { steps: 0, bytes: 0 };
  for (const { input } of heaviest) {
    const steps = await countSteps(() => judge(target, input));
    if (steps > most.steps) most = { steps, bytes: input.length };
    const limit = mostSteps(input.length, target.steps);
    const fault = `takes ${steps} steps for ${input.length} bytes; ${limit} would be in proportion`;
    if (steps > limit) return { ...most, failure: { fault, input } };
  }
  return { ...most, failure: undefined };
}

/** Leaves out what the fault does not need. */
async function smaller(target: Target, input: Buffer, fault: string): Promise<Buffer> {
  const kind = fault.slice(0, 40);
  let best = input;
  let tries = 0;
  for (let size = Math.ceil(best.length / 2); size >= 1 && tries < 2000; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let at = 0; at < best.length && tries < 2000; tries++) {
      const candidate = Buffer.concat([best.subarray(0, at), best.subarray(at + size)]);
      if ((await watched(target, candidate)).fault?.startsWith(kind)) best = candidate;
      else at += size;
    }
  }
  return best;
}

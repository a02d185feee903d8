/** Runs a target's fuzzer and keeps an eye on it. */
import { createHash } from 'node:crypto';
import { globSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { fuzzNative, NATIVE_TARGETS } from './native.ts';
import { corpusDirectory } from './target.ts';
import { findTarget, TARGETS } from './targets/index.ts';
import type { Job, Report } from './worker.ts';

/** An input that is still under way then hangs: they take microseconds, and one with a second of CPU fails by itself. */
const HANG_MS = 60_000;
const LOOK_MS = 250;

export interface Campaign {
  name: string;
  seed: number;
  runs: number;
  /** Ends earlier after so many seconds. */
  seconds: number;
}

export interface Outcome extends Omit<Report, 'failure'> {
  /** What went wrong, in words that say how to repeat it. */
  failure: string | undefined;
}

export const NAMES: readonly string[] = [...TARGETS, ...NATIVE_TARGETS].map(({ name }) => name);

/** Throws RangeError when there is no target of that name. */
export async function fuzz(campaign: Campaign): Promise<Outcome> {
  const native = NATIVE_TARGETS.find(({ name }) => name === campaign.name);
  const report = await (native === undefined ? inThread(campaign) : fuzzNative(native, campaign));
  const { failure } = report;
  return { ...report, failure: failure && describe(campaign, failure) };
}

async function inThread(campaign: Campaign): Promise<Report> {
  const { maxBytes = 4096 } = findTarget(campaign.name);
  const shared = new SharedArrayBuffer(8 + Math.max(maxBytes, 1 << 20));
  const job: Job = { ...campaign, shared };
  const worker = new Worker(new URL('./worker.ts', import.meta.url), { workerData: job });
  const thread = worker.threadId;
  const report = await new Promise<Report>((resolve) => {
    const begun = new Int32Array(shared, 0, 2);
    const fail = (fault: string) => {
      const input = Uint8Array.from(new Uint8Array(shared, 8, begun[1]));
      resolve({ inputs: begun[0]!, steps: 0, bytes: 0, failure: { fault, input } });
    };
    let seen = -1;
    let since = performance.now();
    const look = setInterval(() => {
      const now = performance.now();
      if (begun[0] !== seen) since = now;
      seen = begun[0]!;
      if (now - since > HANG_MS) fail(`hangs: no end after ${HANG_MS} ms`);
    }, LOOK_MS);
    worker.on('message', resolve);
    worker.on('error', (error) => fail(`ends the thread: ${(error as Error).stack}`));
    worker.on('exit', () => {
      clearInterval(look);
      fail('never ends: it waits for what cannot come'); // without effect after a report
    });
  });
  await worker.terminate();
  // A thread that is ended runs no more code of its own.
  for (const left of globSync(`/dev/shm/pk-fuzz-${process.pid}.${thread}-*`))
    rmSync(left, { recursive: true, force: true });
  return report;
}

function describe({ name, seed }: Campaign, { fault, input }: NonNullable<Report['failure']>): string {
  const digest = createHash('sha256').update(input).digest('hex').slice(0, 8);
  const file = join(corpusDirectory(name), `found-${digest}`);
  writeFileSync(file, input);
  return `${name} ${fault}\nThe input (seed ${seed}) is in ${file}: mend the decoder and commit the file.`;
}

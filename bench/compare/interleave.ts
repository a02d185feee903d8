/** Takes runs of two subjects in turn until their ratio is known well enough. */
import { median } from '../row.ts';
import { type Block, type Ratio, ratioOf, widthPoints } from './ratio.ts';

/** The 95 % interval is narrow enough below this width. */
export const WIDTH_POINTS = 5;

/** Something that can be run on a subject; one run gives the value of one figure or of several. */
export interface Trial<Subject> {
  name: string;
  take(subject: Subject): Promise<Readonly<Record<string, number>>>;
}

export interface Limits {
  /** Of each trial, on each subject. */
  maxRuns: number;
  /** For everything. */
  seconds: number;
  /** In ms, from any moment on. */
  now: () => number;
}

/** One figure of both subjects. */
export interface Compared extends Partial<Ratio> {
  name: string;
  /** Medians, in the figure's own unit. */
  a: number;
  b: number;
  /** Runs of each subject. */
  runs: number;
  /** Whether the interval is below WIDTH_POINTS wide; else a limit came first. */
  settled: boolean;
  /**
   * What the interval says of B: it lies above 1, below 1, contains 1 and is settled, or says nothing yet.
   */
  verdict: 'more' | 'less' | 'equal' | 'open';
}

/** A trial that is not compared, since its first run failed. */
export interface Skipped {
  name: string;
  /** On which subjects: on both where the machine cannot do it, on `b` alone when what worked works no more. */
  on: 'a' | 'b' | 'both';
  reason: string;
}

/**
 * Runs all trials on `a` and `b`, each in the order A B B A and all of them in turn, so that a slow moment of the machine falls
 * on everything. A first run of each warms caches and is not counted; a trial that fails then is skipped. A figure that one
 * run lacks, or that is not positive, is left out. Rejects with what a later run rejects with.
 */
export async function interleave<Subject>(
  trials: readonly Trial<Subject>[],
  a: Subject,
  b: Subject,
  limits: Limits,
  seen: (figures: readonly Compared[]) => void = () => {},
): Promise<{ figures: Compared[]; skipped: Skipped[] }> {
  const deadline = limits.now() + limits.seconds * 1000;
  const blocks = trials.map(() => [] as Record<string, Block>[]);
  const figures = () => trials.flatMap((_, index) => compared(blocks[index]!));
  const skipped: Skipped[] = [];
  let open: number[] = [];
  for (const [index, trial] of trials.entries()) {
    const [ofA, ofB] = [await failure(trial, a), await failure(trial, b)];
    const [first] = [ofA, ofB].filter((each) => each !== undefined);
    if (first === undefined) open.push(index);
    else {
      const on = ofA === undefined ? 'b' : ofB === undefined ? 'a' : 'both';
      skipped.push({ name: trial.name, on, reason: first });
    }
  }
  while (open.length > 0) {
    for (const index of open) {
      if (blocks[index]!.length > 0 && limits.now() >= deadline) return { figures: figures(), skipped };
      blocks[index]!.push(await takeBlock(trials[index]!, a, b));
      seen(figures());
    }
    open = open.filter(
      (index) =>
        (blocks[index]!.length + 1) * 2 <= limits.maxRuns && !compared(blocks[index]!).every(({ settled }) => settled),
    );
  }
  return { figures: figures(), skipped };
}

async function failure<Subject>(trial: Trial<Subject>, subject: Subject): Promise<string | undefined> {
  return trial.take(subject).then(
    () => undefined,
    (error: Error) => error.message,
  );
}

async function takeBlock<Subject>(trial: Trial<Subject>, a: Subject, b: Subject): Promise<Record<string, Block>> {
  const runs: Readonly<Record<string, number>>[] = [];
  for (const subject of [a, b, b, a]) runs.push(await trial.take(subject));
  const names = Object.keys(runs[0]!).filter((name) => runs.every((run) => run[name]! > 0));
  return Object.fromEntries(names.map((name) => [name, runs.map((run) => run[name]!) as unknown as Block]));
}

function compared(blocks: readonly Record<string, Block>[]): Compared[] {
  const names = Object.keys(blocks[0] ?? {}).filter((name) => blocks.every((block) => name in block));
  return names.map((name) => {
    const own = blocks.map((block) => block[name]!);
    const ratio = ratioOf(own);
    const settled = ratio !== undefined && widthPoints(ratio) < WIDTH_POINTS;
    return {
      name,
      a: median(own.flatMap(([a1, , , a2]) => [a1, a2])),
      b: median(own.flatMap(([, b1, b2]) => [b1, b2])),
      ...ratio,
      runs: own.length * 2,
      settled,
      verdict: verdictOf(ratio, settled),
    };
  });
}

function verdictOf(ratio: Ratio | undefined, settled: boolean): Compared['verdict'] {
  if (ratio === undefined) return 'open';
  if (ratio.low > 1) return 'more';
  if (ratio.high < 1) return 'less';
  return settled ? 'equal' : 'open';
}

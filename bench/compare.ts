/**
 * `npm run compare -- A B [--bench NAME] [--max-runs N] [--seconds S] [--json]`: whether commit B is slower than commit A. Both are unpacked into a
 * temporary directory and set up by their own set-up, then run in turn (A B B A) until the 95 % interval of B / A is less
 * than 5 points wide, or a limit is reached. Everything is removed afterwards, after Ctrl-C as well. Ends with 1 when B cannot
 * do what A can.
 */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { argumentsOrHelp } from '../scripts/usage.ts';
import { PolykernelError } from '../src/sys/errors.ts';
import { BENCHES } from './compare/benches.ts';
import { Checkout } from './compare/checkout.ts';
import { type Compared, interleave } from './compare/interleave.ts';

const USAGE = `usage: npm run compare -- A B [--bench ${Object.keys(BENCHES).join('|')}] [--max-runs N] [--seconds S] [--json]`;
const MAX_RUNS = 400;
const SECONDS = 900;

interface Wanted {
  revisions: [a: string, b: string];
  bench: string;
  maxRuns: number;
  seconds: number;
  json: boolean;
}

function read(args: string[]): Wanted {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      bench: { type: 'string', default: 'start' },
      'max-runs': { type: 'string', default: String(MAX_RUNS) },
      seconds: { type: 'string', default: String(SECONDS) },
      json: { type: 'boolean', default: false },
    },
  });
  const [a, b, ...more] = positionals;
  if (a === undefined || b === undefined || more.length > 0) throw new TypeError('two commits are wanted');
  if (!Object.hasOwn(BENCHES, values.bench)) throw new TypeError(`there is no bench ${JSON.stringify(values.bench)}`);
  const [maxRuns, seconds] = (['max-runs', 'seconds'] as const).map((name) => {
    const number = Number(values[name]);
    if (!Number.isSafeInteger(number) || number < 1)
      throw new TypeError(`--${name}: ${JSON.stringify(values[name])} is not a whole number from 1`);
    return number;
  });
  return { revisions: [a, b], bench: values.bench, maxRuns: maxRuns!, seconds: seconds!, json: values.json };
}

const stop = new AbortController();
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.on(name, () => stop.abort(new PolykernelError('unavailable', `ended by ${name}`)));

let wanted: Wanted;
try {
  wanted = read(argumentsOrHelp(USAGE));
} catch (error) {
  console.error(`compare: ${(error as Error).message}\n${USAGE}`);
  process.exit(2);
}

const say = (text: string) => {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
};

const directory = mkdtempSync(join(tmpdir(), 'pk-compare-'));
const checkouts: Checkout[] = [];
try {
  const [a, b] = await Promise.all(wanted.revisions.map((revision) => Checkout.resolve(revision, stop.signal)));
  for (const [name, commit] of [
    ['a', a!],
    ['b', b!],
  ] as const) {
    say(`setting up ${commit.slice(0, 12)}`);
    const checkout = await Checkout.make(commit, join(directory, name), stop.signal);
    checkouts.push(checkout);
    await BENCHES[wanted.bench]!.prepare?.(checkout);
  }
  const limits = { maxRuns: wanted.maxRuns, seconds: wanted.seconds, now: () => performance.now() };
  const { figures, skipped } = await interleave(
    BENCHES[wanted.bench]!.trials,
    checkouts[0]!,
    checkouts[1]!,
    limits,
    (seen) => say(seen.map(brief).join('; ')),
  );
  stop.signal.throwIfAborted();
  say('');
  for (const { name, on, reason } of skipped) {
    console.error(`compare: ${name} does not run on ${on === 'both' ? 'either' : on.toUpperCase()}: ${reason}`);
    if (on === 'b') process.exitCode = 1;
  }
  console.log(wanted.json ? JSON.stringify({ a, b, bench: wanted.bench, figures, skipped }) : table(a!, b!, figures));
} catch (error) {
  say('');
  const { message, hint } = error as PolykernelError;
  console.error(`compare: ${message}${hint === undefined ? '' : `\ncompare: ${hint}`}`);
  process.exitCode = stop.signal.aborted ? 130 : 1;
} finally {
  for (const checkout of checkouts) await checkout.remove();
  await Checkout.sweep(directory);
}

function brief({ name, ratio, low, high, runs }: Compared): string {
  return ratio === undefined ? `${name}: ${runs} runs` : `${name}: ${points(ratio)} (${points(low!)}-${points(high!)})`;
}

function points(ratio: number): string {
  return ratio.toFixed(3);
}

function table(a: string, b: string, figures: readonly Compared[]): string {
  const head = `| figure | A ${a.slice(0, 12)} | B ${b.slice(0, 12)} | B / A | 95 % interval | runs of each | B is |`;
  const rows = figures.map(({ name, a: ofA, b: ofB, ratio, low, high, runs, settled, verdict }) => {
    const interval =
      low === undefined ? 'none yet' : `${points(low)} to ${points(high!)}${settled ? '' : ', too wide'}`;
    const cells = [
      name,
      ofA.toFixed(1),
      ofB.toFixed(1),
      ratio === undefined ? '' : points(ratio),
      interval,
      runs,
      verdict,
    ];
    return `| ${cells.join(' | ')} |`;
  });
  return [head, '| --- | --- | --- | --- | --- | --- | --- |', ...rows].join('\n');
}

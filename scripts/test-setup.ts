/**
 * `npm run test:setup`: sets Polykernel up on fresh Debian systems as somebody would who has just got it, and runs it there.
 * Root only: the systems are entered in namespaces of their own, with the network of this machine. The log and a table go
 * to standard output.
 */
import { PolykernelError } from '../src/sys/errors.ts';
import { findTool } from '../src/sys/tools.ts';
import { baseOf, forget } from './fresh/base.ts';
import { waysOfHost } from './fresh/host.ts';
import { type Run, readRuns, type Step, USAGE } from './fresh/options.ts';
import { noteOf, type Outcome, summary } from './fresh/report.ts';
import { FreshSystem } from './fresh/root.ts';
import { SYSTEMS } from './fresh/systems.ts';
import { argumentsOrHelp } from './usage.ts';

const COMMANDS: Readonly<Record<Step, string>> = {
  start: 'npm start',
  again: 'npm start',
  check: 'npm run check',
  test: 'npm test',
};

const stop = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => stop.abort(new Error('interrupted')));
const outcomes: Outcome[] = [];

try {
  const { runs, fresh } = readRuns(argumentsOrHelp(USAGE));
  checkMachine();
  if (fresh) await forget();
  for (const run of runs) await perform(run);
} catch (error) {
  process.exitCode = 1;
  console.error(`test:setup: ${(error as Error).message}`);
  if (error instanceof PolykernelError && error.hint !== undefined) console.error(error.hint);
}
if (outcomes.length > 0) console.log(`\n${summary(outcomes)}`);
if (outcomes.some(({ failure }) => failure !== null)) process.exitCode = 1;

function checkMachine(): void {
  if (process.getuid?.() !== 0)
    throw new PolykernelError('unavailable', 'only root can make a system with several users', {
      hint: 'As root: npm run test:setup',
    });
  if (findTool('debootstrap') === undefined)
    throw new PolykernelError('unavailable', 'debootstrap is not installed', { hint: 'apt-get install debootstrap' });
}

async function perform({ system: name, as, steps }: Run): Promise<void> {
  const system = SYSTEMS.find((each) => each.name === name)!;
  const ways = await waysOfHost();
  const base = await baseOf(system, ways, logOf(`${name} base`), stop.signal);
  await using fresh = new FreshSystem(system, as, ways);
  await fresh.make(base, stop.signal);
  await fresh.run('cat /etc/debian_version; npm --version; node --version', logOf(`${name} ${as}`), stop.signal);
  for (const step of steps) {
    const outcome = await take(fresh, { system: name, as, step });
    outcomes.push(outcome);
    // What comes behind needs what this should have made.
    if (outcome.failure !== null && step === 'start') break;
    if (step === 'start') await fresh.keep();
  }
}

async function take(fresh: FreshSystem, which: Pick<Outcome, 'system' | 'as' | 'step'>): Promise<Outcome> {
  const began = performance.now();
  const lines: string[] = [];
  const log = logOf(`${which.system} ${which.as} ${which.step}`);
  const gather = (line: string) => {
    lines.push(line);
    log(line);
  };
  const failure = await fresh.run(COMMANDS[which.step], gather, stop.signal).then(
    () => null,
    (error: Error) => {
      if (stop.signal.aborted) throw error;
      return error.message;
    },
  );
  return { ...which, seconds: (performance.now() - began) / 1000, failure, note: noteOf(lines) };
}

/** Each line with what it belongs to and the seconds since that began. */
function logOf(what: string): (line: string) => void {
  const began = performance.now();
  return (line) => console.log(`${what} ${((performance.now() - began) / 1000).toFixed(1).padStart(6)} | ${line}`);
}

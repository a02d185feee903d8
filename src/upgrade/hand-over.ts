/**
 * Steps that hand over the state of a workload: a command in the old kernel writes it, bounded in size and time, to a file of the
 * daemon's; one in the new kernel reads it. The file stays until the upgrade is over, so that what is taken back has it again.
 */
import { createReadStream, createWriteStream, existsSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { BareStep, Executors, Step } from '../core/step.ts';
import type { Instances } from '../instance/contract.ts';
import { asPolykernelError, PolykernelError } from '../sys/errors.ts';
import { plainLine } from '../sys/text.ts';
import { formatBytes } from '../sys/units.ts';
import type { HandOver } from './requests.ts';

const KILL = 9;
const COMPLAINT_BYTES = 1_000;

interface Command {
  /** For sh -c, in the kernel of the instance. */
  command: string;
  deadlineMs: number;
  file: string;
}

interface Save extends BareStep<'upgrade.save'>, Command {
  limitBytes: number;
}

interface Load extends BareStep<'upgrade.load'>, Command {
  /** When the kernel was started that has it still: it reads nothing. */
  unless: string | null;
}

interface Kept extends BareStep<'upgrade.kept'> {}

export type HandOverStep = Step<Save, Load | Kept> | Step<Load, Kept>;

/** In the order in which they are given. */
const PHASE = 'publish';
const nothing = (name: string): Kept => ({ kind: 'upgrade.kept', name, phase: PHASE, text: 'nothing' });

const load = (
  name: string,
  { load: command, deadlineMs }: Required<HandOver>,
  file: string,
  unless: string | null,
): Load => ({
  ...{ kind: 'upgrade.load', name, phase: PHASE, text: `have ${name} read the state` },
  ...{ command, deadlineMs, file, unless },
});

/** `startedAt`: of its kernel, which gets it back where it was replaced and that is taken back; null for one that goes. */
export const saveState = (
  name: string,
  how: Required<HandOver>,
  file: string,
  startedAt: string | null,
): HandOverStep => ({
  ...{ kind: 'upgrade.save', name, phase: PHASE, text: `have ${name} write its state` },
  ...{ command: how.save, deadlineMs: how.deadlineMs, limitBytes: how.limitBytes, file },
  undo: startedAt === null ? nothing(name) : load(name, how, file, startedAt),
  byHand: 'nothing',
});

export const loadState = (name: string, how: Required<HandOver>, file: string): HandOverStep => ({
  ...load(name, how, file, null),
  undo: nothing(name),
  byHand: 'nothing',
});

export function handOverExecutors(instances: Pick<Instances, 'get'>): Executors<HandOverStep> {
  /** What was read by which kernel. */
  const read = new Set<string>();
  const key = ({ name, file }: Pick<Load, 'name' | 'file'>) => `${file} ${instances.get(name).record.startedAt}`;
  return {
    'upgrade.save': {
      check: ({ name }) => void instances.get(name),
      run: (step, signal) => save(step, instances, signal),
      verify: ({ file }) => existsSync(file),
      afterCrash: 'undo',
    },
    'upgrade.load': {
      check: ({ name }) => void instances.get(name),
      async run(step, signal) {
        // Opened for who reads it alone: of a kernel that is gone it would stay open, or be an error that nobody hears.
        await execute(step, instances, signal, (process) => pipeline(createReadStream(step.file), process.stdin));
        read.add(key(step));
      },
      verify: (step) => instances.get(step.name).record.startedAt === step.unless || read.has(key(step)),
      afterCrash: 'undo',
    },
    'upgrade.kept': { check: () => {}, run: async () => {}, verify: () => true, afterCrash: 'finish' },
  };
}

async function save(step: Omit<Save, 'undo'>, instances: Pick<Instances, 'get'>, signal: AbortSignal): Promise<void> {
  const { file, limitBytes, name } = step;
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  let bytes = 0;
  const bounded = new Transform({
    transform(data: Buffer, _encoding, done) {
      bytes += data.length;
      if (bytes <= limitBytes) return done(null, data);
      done(
        new PolykernelError('invalid', `the state of ${name} is larger than ${formatBytes(limitBytes)}`, {
          ...{ field: 'handOver.limitBytes', value: limitBytes, hint: 'Allow for more: --state-limit.' },
        }),
      );
    },
  });
  await execute(step, instances, signal, (process) => {
    process.stdin.end();
    return pipeline(process.stdout, bounded, createWriteStream(file, { mode: 0o600 }));
  });
}

type Guest = Awaited<ReturnType<ReturnType<Instances['get']>['exec']>>;

/** Runs it as the workload is; rejects unless it ends well, in its time, with all that `streams` does. */
async function execute(
  { name, command, deadlineMs, text }: Pick<Save | Load, 'name' | 'command' | 'deadlineMs' | 'text'>,
  instances: Pick<Instances, 'get'>,
  signal: AbortSignal,
  streams: (process: Guest) => Promise<void>,
): Promise<void> {
  const instance = instances.get(name);
  const { env, cwd, cwdOptional, user } = instance.record.spec;
  const process = await instance.exec({ command: ['/bin/sh', '-c', command], env, cwd, cwdOptional, user });
  let complaint = '';
  process.stderr.setEncoding('utf8').on('data', (words: string) => {
    if (complaint.length < COMPLAINT_BYTES) complaint += words;
  });
  const over = AbortSignal.any([signal, AbortSignal.timeout(deadlineMs)]);
  const late = Promise.withResolvers<never>();
  late.promise.catch(() => {});
  const end = () => {
    const slow = new PolykernelError('not-ready', `it took longer than ${deadlineMs} ms`, {
      ...{ field: 'handOver.deadlineMs', value: deadlineMs, hint: 'Give it more time: --state-deadline.' },
    });
    late.reject(signal.aborted ? signal.reason : slow);
  };
  over.addEventListener('abort', end, { once: true });
  try {
    if (over.aborted) end();
    const moved = streams(process);
    moved.catch(() => {});
    const exit = await Promise.race([Promise.all([process.exited, moved]).then(([exit]) => exit), late.promise]);
    if (exit.kind === 'exit' && exit.value === 0) return;
    const how = exit.kind === 'failed' ? exit.message : `it ended with ${exit.kind} ${exit.value}`;
    throw new PolykernelError(
      'not-ready',
      [how, plainLine(complaint.trim(), COMPLAINT_BYTES)].filter((words) => words !== '').join(': '),
      {
        hint: `Try the command: pk exec ${name} -- sh -c ...`,
      },
    );
  } catch (error) {
    throw asPolykernelError(error, text);
  } finally {
    over.removeEventListener('abort', end);
    if (process.exit === undefined) process.signal(KILL);
    process.forget();
  }
}

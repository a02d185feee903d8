/** What goes wrong between starting a kernel's process and its agent's answer, told so that a person can act on it. */

import { asPolykernelError, PolykernelError } from '../../sys/errors.ts';
import { formatDuration } from '../../sys/units.ts';
import { type LaunchSpec, NotGone } from '../driver.ts';
import { removeLimits } from '../jail/limits.ts';
import { InstanceGroups } from './instance-groups.ts';
import { explainExit } from './kernel.ts';
import { awaitProgramExit, killShim, readConsoleTail } from './shim.ts';

const TAIL_BYTES = 4096;
const TAIL_LINES = 12;
/** With which the programs that make a jail end when they cannot. */
const JAIL_FAILED = 125;

/**
 * Rejects with `panic` or `kernel-died` when the kernel's process ends before `done`, or with the reason of `over`, after which the start
 * waits for nothing more; otherwise stays pending. To be raced against each step of the start; holds a connection until `done`.
 */
export function earlyEnd(directory: string, done: AbortSignal, over?: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const giveUp = () => reject(over?.reason);
    over?.addEventListener('abort', giveUp, { once: true, signal: done });
    if (over?.aborted) giveUp();
    awaitProgramExit(directory, done)
      .then(async (exit) => {
        if (!done.aborted) reject(await endError(directory, exit));
      })
      .catch(reject);
  });
}

async function endError(
  directory: string,
  exit: Awaited<ReturnType<typeof awaitProgramExit>>,
): Promise<PolykernelError> {
  if (exit?.code === JAIL_FAILED) {
    const refusal = await jailFailure(directory);
    if (refusal !== undefined) return refusal;
  }
  const ended = await explainExit(directory, exit);
  const code = ended.reason === 'panic' ? 'panic' : 'kernel-died';
  return new PolykernelError(code, `the kernel did not get ready: ${ended.message}${await consoleNote(directory)}`);
}

/** What pk-cell, bwrap or pk-jail said, if it was one of them that could not go on: no kernel ran then. */
async function jailFailure(directory: string): Promise<PolykernelError | undefined> {
  const said = (await readConsoleTail(directory, TAIL_BYTES)).split('\n');
  const match = said.map((line) => /^(pk-cell|bwrap|pk-jail): (refused: )?(.{1,1000})/.exec(line)).find(Boolean);
  if (!match) return undefined;
  const [, program, refused, text] = match;
  if (refused === undefined) {
    return new PolykernelError('unavailable', `the jail of the kernel could not be made (${program}: ${text})`, {
      hint: 'See what this machine lacks: pk doctor. After an update of the checkout: npm run setup.',
    });
  }
  return new PolykernelError('conflict', text!, {
    field: 'volumes',
    hint: 'If that is as it should be, remove the instance and create it anew.',
  });
}

/**
 * Ends what is left of a start and gives the error to throw: the caller's own reason when it aborted, `not-ready` when
 * the deadline passed, else `error`, which gives way to the news that the kernel ended.
 */
export async function startFailure(
  spec: Pick<LaunchSpec, 'directory' | 'name' | 'readyTimeoutMs'> & { id?: string },
  error: unknown,
  why: { signal: AbortSignal; timeout: AbortSignal },
): Promise<unknown> {
  const { directory } = spec;
  // A lost line is only the first sign: the exit status says more, and comes within milliseconds.
  const isLineLoss = error instanceof PolykernelError && error.code === 'kernel-died';
  const ended = isLineLoss && !why.signal.aborted && !why.timeout.aborted ? await soonEnd(directory) : undefined;
  const cause = () => startError(spec, ended ?? error, why);
  try {
    await killShim(directory);
  } catch (left) {
    if (!(left instanceof NotGone)) throw left;
    const { message, value, hint } = left;
    throw new NotGone(message, { value, hint, cause: await cause() });
  }
  if (spec.id !== undefined) await new InstanceGroups().remove(spec.id);
  await removeLimits(directory);
  return await cause();
}

async function startError(
  { directory, name, readyTimeoutMs }: Pick<LaunchSpec, 'directory' | 'name' | 'readyTimeoutMs'>,
  error: unknown,
  why: { signal: AbortSignal; timeout: AbortSignal },
): Promise<unknown> {
  if (why.signal.aborted) return why.signal.reason;
  if (why.timeout.aborted) {
    const patience = formatDuration(readyTimeoutMs);
    return new PolykernelError('not-ready', `${name} was not ready within ${patience}${await consoleNote(directory)}`, {
      hint: 'Give it longer with --ready-timeout, or look at what its console says.',
    });
  }
  return asPolykernelError(error, `starting ${name}`);
}

/** The error of a kernel that ends within a moment; undefined when it goes on running. */
async function soonEnd(directory: string): Promise<PolykernelError | undefined> {
  const patience = AbortSignal.timeout(2000);
  const given = new Promise<undefined>((resolve) =>
    patience.addEventListener('abort', () => resolve(undefined), { once: true }),
  );
  return await Promise.race([earlyEnd(directory, patience).catch((error: PolykernelError) => error), given]);
}

/** The end of the console for an error message; says so when there is none. */
async function consoleNote(directory: string): Promise<string> {
  const lines = (await readConsoleTail(directory, TAIL_BYTES)).split('\n').filter((line) => line.trim() !== '');
  if (lines.length === 0) return '; its console is empty';
  return `; the end of its console:\n${lines
    .slice(-TAIL_LINES)
    .map((line) => `  | ${line}`)
    .join('\n')}`;
}

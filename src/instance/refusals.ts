/** What is refused of an instance, and how that is said. */
import type { Driver } from '../driver/index.ts';
import { type ErrorCode, PolykernelError } from '../sys/errors.ts';
import type { InstanceExit, InstanceState } from './spec.ts';

/** `reason` goes on a sentence that begins with the name. */
export const conflict = (name: string, reason: string): PolykernelError =>
  new PolykernelError('conflict', `${name} ${reason}`, { field: 'name', value: name });

/** Of an instance that must run for `purpose`. `active`: whether a kernel of it runs or is about to. */
export function notRunning(name: string, state: InstanceState, active: boolean, purpose: string): PolykernelError {
  // The daemon ends.
  if (state === 'running') return notTakenOver(name);
  return new PolykernelError('conflict', `${name} is ${state}; it must be running to ${purpose} in it`, {
    field: 'name',
    value: name,
    hint: state === 'paused' ? `Resume it: pk resume ${name}` : active ? undefined : `Start it: pk start ${name}`,
  });
}

/** Of one whose kernel does not answer this daemon yet. */
export const notTakenOver = (name: string): PolykernelError =>
  new PolykernelError('unavailable', `${name} runs, but this daemon has not taken it over yet`, {
    field: 'name',
    value: name,
    hint: 'Try again in a moment: a kernel whose agent does not answer a new daemon in ten seconds is ended.',
  });

/** Of one whose kernel was ended. `why`: what is left of it. */
export function notProven(name: string, why: string): PolykernelError {
  return new PolykernelError(
    'conflict',
    `${name} is stuck: its kernel was ended and is not proven to be gone (${why})`,
    {
      field: 'name',
      value: name,
      hint: `What it owns stays its own until it is gone. Look at what is left of it: /proc/PID/status; a control group that is frozen has to be thawed. pk kill ${name} tries again.`,
    },
  );
}

/** Throws `unsupported`. */
export function checkPause(driver: Driver): void {
  if (driver.capabilities().pause) return;
  throw new PolykernelError('unsupported', `the driver ${driver.traits.name} lacks the capability "pause"`, {
    field: 'driver',
  });
}

/** As what a start is refused that ended so; undefined when that was no failure to start. */
export function failedStart(name: string, exit: InstanceExit): PolykernelError | undefined {
  const { reason, exitCode, message, hint } = exit;
  const codes: Partial<Record<InstanceExit['reason'], ErrorCode>> = {
    'not-ready': 'not-ready',
    panic: 'panic',
    died: 'kernel-died',
    failed: exitCode === 127 ? 'no-command' : exitCode === 126 ? 'not-executed' : 'internal',
  };
  const code = codes[reason];
  if (code === undefined) return undefined;
  return new PolykernelError(code, `${name} did not start: ${message}`, { hint });
}

/** What to do about one that was started by itself; one that steps start may be taken back. */
export function startedAlone(name: string, error: unknown): unknown {
  const isFailed = error instanceof PolykernelError && ['no-command', 'not-executed'].includes(error.code);
  if (!isFailed) return error;
  const hint = `It is kept: pk start ${name} tries again, pk rm ${name} removes it.`;
  return new PolykernelError(error.code, error.message, { hint, cause: error });
}

/** How ends are recorded: the one place where guest and kernel ends become exit codes. */
import type { KernelExit } from '../driver/index.ts';
import { signalName } from '../driver/signals.ts';
import { errnoText, type GuestExit } from '../guest/index.ts';
import { ERROR_TABLE, type PolykernelError } from '../sys/errors.ts';
import { plainText } from '../sys/text.ts';
import { formatBytes } from '../sys/units.ts';
import type { InstanceExit, InstanceSpec } from './spec.ts';

const ENOENT = 2;
/** Of what a record keeps of guests', VMMs' and tools' words: the end of a console is in it. */
const MAX_MESSAGE = 8192;

const told = (message: string): string => plainText(message, MAX_MESSAGE);

/**
 * The workload's end. The codes are those of a shell: 128 + n for signal n, 127 not found, 126 not executable. `memoryBytes`:
 * what its kernel has.
 */
export function exitOfWorkload(
  exit: GuestExit,
  { command, memoryBytes }: Pick<InstanceSpec, 'command' | 'memoryBytes'>,
  at: string,
): InstanceExit {
  if (exit.kind !== 'failed') {
    const [reason, exitCode] =
      exit.kind === 'exit' ? (['exit', exit.value] as const) : (['signal', 128 + exit.value] as const);
    const how = reason === 'exit' ? `exited with status ${exitCode}` : `ended by ${signalName(exit.value)}`;
    const killed = `${how}: killed inside its kernel for want of memory (${formatBytes(memoryBytes)}): ${exit.message}`;
    return { reason, exitCode, message: exitCode === 0 ? '' : exit.message === '' ? how : told(killed), at };
  }
  const exitCode = exit.value === ENOENT ? 127 : 126;
  // The guest names the step that failed (`exec`, `chdir`), which tells a missing program from a missing directory.
  const step = exit.message.includes(':') ? `${exit.message.slice(0, exit.message.indexOf(':'))}: ` : '';
  const message = `${command[0]} could not be started: ${step === 'starting: ' ? '' : step}${errnoText(exit.value)}`;
  return { reason: 'failed', exitCode, message, at };
}

/** The end of a further process. */
export function exitOfProcess(
  exit: GuestExit,
  spec: Pick<InstanceSpec, 'command' | 'memoryBytes'>,
): Omit<InstanceExit, 'at'> {
  return exit.kind === 'failed' && exit.value === 0
    ? exitOfLostWorkload(exit.message, '')
    : exitOfWorkload(exit, spec, '');
}

/** The session vanished although the kernel lives. */
export function exitOfLostWorkload(message: string, at: string): InstanceExit {
  return { reason: 'died', exitCode: ERROR_TABLE['kernel-died'].exit, message: told(message), at };
}

/** The kernel's end, where nothing else ended the run first. */
export function exitOfKernel(exit: KernelExit, at: string): InstanceExit {
  const message = told(exit.message);
  switch (exit.reason) {
    case 'stopped':
      return { reason: 'stopped', exitCode: 0, message, at };
    case 'panic':
      return { reason: 'panic', exitCode: ERROR_TABLE.panic.exit, message, at };
    case 'died':
      return { reason: 'died', exitCode: ERROR_TABLE['kernel-died'].exit, message, at };
  }
}

/** A start that failed. */
export function exitOfFailedStart(error: PolykernelError, at: string): InstanceExit {
  const reasons: Partial<Record<PolykernelError['code'], InstanceExit['reason']>> = {
    'not-ready': 'not-ready',
    panic: 'panic',
    'kernel-died': 'died',
  };
  return {
    reason: reasons[error.code] ?? 'failed',
    exitCode: ERROR_TABLE[error.code].exit,
    message: told(error.message),
    at,
  };
}

export const stoppedExit = (at: string): InstanceExit => ({
  reason: 'stopped',
  exitCode: 143,
  message: 'stopped on request',
  at,
});

export const killedExit = (message: string, at: string): InstanceExit => ({
  reason: 'killed',
  exitCode: 137,
  message,
  at,
});

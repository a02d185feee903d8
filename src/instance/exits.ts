/** How ends are recorded: the one place where guest and kernel ends become exit codes. */
import type { KernelExit } from '../driver/index.ts';
import { signalName } from '../driver/shim/signals.ts';
import { type ExecRequest, errnoText, type GuestExit } from '../guest/index.ts';
import { asPolykernelError, ERROR_TABLE, type PolykernelError } from '../sys/errors.ts';
import { plainText } from '../sys/text.ts';
import { formatBytes } from '../sys/units.ts';
import type { InstanceExit } from './spec.ts';

const ENOENT = 2;
/** From the agent: in no file of the guest's. */
const ESRCH = 3;
/** Of what a record keeps of guests', VMMs' and tools' words: the end of a console is in it. */
const MAX_MESSAGE = 8192;

const told = (message: string): string => plainText(message, MAX_MESSAGE);

/** What was to be run; of a workload also where. `memoryBytes`: what its kernel has. */
type Asked = Pick<ExecRequest, 'command' | 'cwd' | 'user'> & { memoryBytes: number; attached?: boolean; root?: string };

/** The step that fails where the command is there, and what is to run it is not. */
const INTERPRETER = 'interpreter';
export const NO_INTERPRETER =
  'it is there, but what it is to be run by is not: the program of its #! line, or the loader of its C library';

const SEEN_DETACHED = 'of this machine, detached instances see what everybody may (share it with --volume)';

/** The workload's end. The codes are those of a shell: 128 + n for signal n, 127 not found, 126 not executable. */
export function exitOfWorkload(exit: GuestExit, asked: Asked, at: string): InstanceExit {
  if (exit.kind !== 'failed') {
    const [reason, exitCode] =
      exit.kind === 'exit' ? (['exit', exit.value] as const) : (['signal', 128 + exit.value] as const);
    const how = reason === 'exit' ? `exited with status ${exitCode}` : `ended by ${signalName(exit.value)}`;
    const killed = `${how}: killed inside its kernel for want of memory (${formatBytes(asked.memoryBytes)}): ${exit.message}`;
    return { reason, exitCode, message: exitCode === 0 ? '' : exit.message === '' ? how : told(killed), at };
  }
  const [step = ''] = exit.message.split(':', 1);
  const isCommand = step === 'command' || step === 'starting';
  const message = `${asked.command[0]} could not be started: ${isCommand ? errnoText(exit.value) : reason(step, exit.value, asked)}`;
  const isMissing = exit.value === ENOENT && (isCommand || step === INTERPRETER);
  return { reason: 'failed', exitCode: isMissing ? 127 : 126, message: told(message), at };
}

/** The guest names the step that failed. */
function reason(step: string, errno: number, { cwd, user, attached, root }: Asked): string {
  const [name, group = ''] = user.split(':', 2);
  if (step === INTERPRETER) return NO_INTERPRETER;
  if (step === 'cwd') {
    const why = root === 'host' && attached === false ? `; ${SEEN_DETACHED}` : '';
    return `its working directory ${cwd} cannot be entered: ${errnoText(errno)}${why}`;
  }
  if (errno === ESRCH && step === 'user') return `there is no user ${name} in the guest's /etc/passwd`;
  if (errno === ESRCH && step === 'group') return `there is no group ${group} in the guest's /etc/group`;
  return `${step}: ${errnoText(errno)}`;
}

/** The end of a further process. */
export function exitOfProcess(exit: GuestExit, asked: Asked): Omit<InstanceExit, 'at'> {
  return exit.kind === 'failed' && exit.value === 0
    ? exitOfLostWorkload(exit.message, '')
    : exitOfWorkload(exit, asked, '');
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

/** A start that failed, and what was started is not proven to be gone. */
export function exitOfStuckStart(left: PolykernelError, name: string, at: string): InstanceExit {
  if (left.cause === undefined) return exitOfFailedStart(left, at);
  const exit = exitOfFailedStart(asPolykernelError(left.cause, `starting ${name}`), at);
  return { ...exit, message: `${exit.message}; ${left.message}` };
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
    ...(error.hint !== undefined && { hint: told(error.hint) }),
    at,
  };
}

export const stoppedExit = (at: string): InstanceExit => ({
  reason: 'stopped',
  exitCode: 143,
  message: 'stopped on request',
  at,
});

export const healedExit = (reason: 'hung' | 'unhealthy', message: string, at: string): InstanceExit => ({
  reason,
  exitCode: ERROR_TABLE['kernel-died'].exit,
  message: told(message),
  at,
});

export const killedExit = (message: string, at: string): InstanceExit => ({
  reason: 'killed',
  exitCode: 137,
  message,
  at,
});

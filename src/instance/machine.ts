/**
 * The life cycle as a pure state machine: state and event give the next state and the effects to carry out. What they do
 * is instance.ts' business; everything that may happen in any order is decided here and tested by random events.
 */

import type { InstanceEventType } from './events.ts';
import { decideRestart, LOOP } from './restart.ts';
import type { InstanceExit, InstanceSpec, InstanceState } from './spec.ts';

export interface Machine {
  readonly state: InstanceState;
  /** How the run that is being ended will be recorded: what came first. Null unless `stopping` or `stuck`. */
  readonly ending: InstanceExit | null;
  /** How the last run ended. */
  readonly exit: InstanceExit | null;
  /** False once a person asked for the end: no restart is due then. */
  readonly mayRestart: boolean;
  /** Restarts since the last good run or start by a person. */
  readonly restartsInRow: number;
  /** Restarts by policy since the last start by a person. */
  readonly restarts: number;
}

export const CREATED: Machine = {
  state: 'created',
  ending: null,
  exit: null,
  mayRestart: true,
  restartsInRow: 0,
  restarts: 0,
};

export type MachineEvent =
  /** A person's wishes. */
  | { type: 'start' | 'pause' | 'resume' }
  | { type: 'stop' | 'kill'; exit: InstanceExit }
  /** It is not well, and is ended so that it can be started anew. */
  | { type: 'heal'; exit: InstanceExit; how: 'stop' | 'kill' }
  /** What happened. `ranMs`: from ready to now, 0 if never ready. */
  | { type: 'ready' | 'paused' | 'resumed' | 'restart-due' }
  | { type: 'workload-ended'; exit: InstanceExit }
  /** It was ended, or went, and is not proven to be gone. */
  | { type: 'unproven'; exit: InstanceExit }
  | { type: 'kernel-ended'; exit: InstanceExit; ranMs: number };

/** What is to be done because of an event, at once and in this order. */
export type Effect =
  | { do: 'boot' }
  | { do: 'cancel-boot' }
  | { do: 'begin-workload' }
  /** `stop`: as a person asked, with the instance's grace. `end`: the workload is over. */
  | { do: 'end-kernel'; how: 'stop' | 'end' | 'kill' }
  | { do: 'arm-restart'; delayMs: number }
  | { do: 'disarm-restart' }
  | { do: 'tell'; event: InstanceEventType; message: string };

/** What of the spec has a say in whether it is started again. */
type Policy = Pick<InstanceSpec, 'restart' | 'heal'>;

export type Transition = { machine: Machine; effects: readonly Effect[] } | { refused: string };

/** The next state and its effects, or why the event cannot be now. Late news from the kernel are never refused. */
export function transition(machine: Machine, event: MachineEvent, policy: Policy): Transition {
  switch (event.type) {
    case 'start':
      return start(machine);
    case 'stop':
      return stop(machine, event.exit);
    case 'kill':
      return kill(machine, event.exit);
    case 'heal':
      return heal(machine, event.exit, event.how);
    case 'pause':
      // Whoever wishes it asks the kernel, and tells when it is so.
      return machine.state === 'running' ? to(machine, {}) : { refused: cannot('paused', machine.state) };
    case 'resume':
      return machine.state === 'paused' ? to(machine, {}) : { refused: cannot('resumed', machine.state) };
    case 'ready':
      if (machine.state === 'starting')
        return to(machine, { state: 'running' }, tell('ready'), { do: 'begin-workload' });
      // A stop came while the kernel got ready.
      return machine.state === 'stopping' ? to(machine, {}, { do: 'end-kernel', how: 'kill' }) : to(machine, {});
    case 'paused':
      return machine.state === 'running' ? to(machine, { state: 'paused' }, tell('paused')) : to(machine, {});
    case 'resumed':
      return machine.state === 'paused' ? to(machine, { state: 'running' }, tell('resumed')) : to(machine, {});
    case 'workload-ended':
      return workloadEnded(machine, event.exit);
    case 'kernel-ended':
      return kernelEnded(machine, event.exit, event.ranMs, policy);
    case 'unproven':
      return unproven(machine, event.exit);
    case 'restart-due':
      if (machine.state !== 'backoff') return to(machine, {});
      return to(machine, { state: 'starting', restarts: machine.restarts + 1 }, tell('restarting'), { do: 'boot' });
  }
}

function start(machine: Machine): Transition {
  if (machine.state === 'stopping') return { refused: 'is still stopping' };
  if (machine.state === 'stuck') return { refused: cannot('started', 'stuck') };
  if (machine.state !== 'created' && machine.state !== 'exited' && machine.state !== 'backoff') {
    return { refused: machine.state === 'paused' ? 'is paused' : 'is already running' };
  }
  const next = { state: 'starting', mayRestart: true, restartsInRow: 0, restarts: 0 } as const;
  return to(machine, next, { do: 'disarm-restart' }, tell('starting'), { do: 'boot' });
}

function stop(machine: Machine, exit: InstanceExit): Transition {
  switch (machine.state) {
    case 'created':
    case 'exited':
      return to(machine, {});
    case 'backoff':
      return to(
        machine,
        { state: 'exited', mayRestart: false },
        { do: 'disarm-restart' },
        tell('exited', 'no restart: stopped'),
      );
    case 'stopping':
    case 'stuck':
      return to(machine, { mayRestart: false });
    case 'starting':
      return to(machine, { state: 'stopping', ending: exit, mayRestart: false }, tell('stopping'), {
        do: 'cancel-boot',
      });
    default:
      return to(machine, { state: 'stopping', ending: exit, mayRestart: false }, tell('stopping'), {
        do: 'end-kernel',
        how: 'stop',
      });
  }
}

function kill(machine: Machine, exit: InstanceExit): Transition {
  switch (machine.state) {
    case 'created':
    case 'exited':
      return { refused: cannot('killed', machine.state) };
    case 'running':
    case 'paused':
      return to(machine, { state: 'stopping', ending: exit, mayRestart: false }, tell('stopping'), {
        do: 'end-kernel',
        how: 'kill',
      });
    case 'stuck':
      return to(machine, { state: 'stopping', mayRestart: false }, { do: 'end-kernel', how: 'kill' });
    case 'stopping':
      // A boot that was cancelled has no kernel yet; ending it again does no harm.
      return to(machine, { mayRestart: false }, { do: 'end-kernel', how: 'kill' });
    default:
      return stop(machine, exit);
  }
}

function heal(machine: Machine, exit: InstanceExit, how: 'stop' | 'kill'): Transition {
  if (machine.state !== 'running') return { refused: cannot('healed', machine.state) };
  return to(machine, { state: 'stopping', ending: exit }, tell('stopping', exit.message), { do: 'end-kernel', how });
}

/** What is told of it is kept with how it ended. */
function unproven(machine: Machine, exit: InstanceExit): Transition {
  const { state, ending } = machine;
  if (state === 'stopping' && ending !== null) {
    const message = ending.message.includes(exit.message) ? ending.message : `${ending.message}; ${exit.message}`;
    return to(machine, { state: 'stuck', ending: { ...ending, message } }, tell('stuck', exit.message));
  }
  if (state !== 'starting' && state !== 'running' && state !== 'paused') return to(machine, {});
  return to(machine, { state: 'stuck', ending: exit }, tell('stuck', exit.message));
}

function workloadEnded(machine: Machine, exit: InstanceExit): Transition {
  if (machine.state === 'running' || machine.state === 'paused') {
    return to(machine, { state: 'stopping', ending: exit }, tell('stopping', exit.message), {
      do: 'end-kernel',
      how: 'end',
    });
  }
  // Asked to stop: the reason stays, the workload's own code is what it ended with.
  if (machine.state === 'stopping' && machine.ending?.reason === 'stopped') {
    return to(machine, { ending: { ...machine.ending, exitCode: exit.exitCode } });
  }
  return to(machine, {});
}

function kernelEnded(machine: Machine, exit: InstanceExit, ranMs: number, policy: Policy): Transition {
  const { state } = machine;
  if (state === 'created' || state === 'exited' || state === 'backoff') return to(machine, {});
  const final = machine.ending ?? exit;
  const crashed = CRASHES.has(final.reason);
  const news = tell(crashed ? 'crashed' : 'exited', final.message);
  const base = { ending: null, exit: final } as const;
  if (!machine.mayRestart) return to(machine, { ...base, state: 'exited' }, news);
  // What could not be executed will not be the next time either; nor what never got going since a person wished it to.
  const isHopeless = final.reason === 'failed' && (machine.ending !== null || machine.restarts === 0);
  if (isHopeless) return to(machine, { ...base, state: 'exited' }, news);
  const { reason, exitCode } = final;
  const { restart, heal } = policy;
  const next = decideRestart({ policy: restart, heal, reason, exitCode, restartsInRow: machine.restartsInRow, ranMs });
  const { restartsInRow } = next;
  if (next.delayMs === undefined) return to(machine, { ...base, restartsInRow, state: 'exited' }, news);
  const loop = restartsInRow === LOOP + 1 ? [tell('crash-loop', `${LOOP} restarts in a row came to nothing`)] : [];
  const { delayMs } = next;
  return to(machine, { ...base, restartsInRow, state: 'backoff' }, news, ...loop, { do: 'arm-restart', delayMs });
}

const CRASHES: ReadonlySet<InstanceExit['reason']> = new Set(['panic', 'died', 'hung']);

const to = (machine: Machine, change: Partial<Machine>, ...effects: Effect[]): Transition => ({
  machine: { ...machine, ...change },
  effects,
});

const tell = (event: InstanceEventType, message = ''): Effect => ({ do: 'tell', event, message });

function cannot(done: string, state: InstanceState): string {
  const is: Record<InstanceState, string> = {
    created: 'was never started',
    starting: 'is still starting',
    running: 'is running',
    paused: 'is paused',
    stopping: 'is stopping',
    stuck: 'was ended, and is not proven to be gone',
    exited: 'has ended',
    backoff: 'has ended and waits to be restarted',
  };
  return `${is[state]} and cannot be ${done}`;
}

/** What is to be done next of a standby, from what is seen. Pure. */
import type { InstanceRecord, InstanceState } from '../instance/contract.ts';

/**
 * `warming`: its workload gets ready, and is asked whether it is; it gets no requests. `waiting`: it is frozen. `serving`: it gets
 * what comes to the other one. `leaving`: it completes what it was asked.
 */
export type Phase = 'warming' | 'waiting' | 'serving' | 'leaving';

export interface Seen {
  /** It is asked for, and a service leads to it. */
  wanted: boolean;
  primary: {
    runs: boolean;
    /** Its kernel went, or is ended for not being well. */
    isLost: boolean;
    /** HAProxy sees it answer, in all services that lead to it. */
    answers: boolean;
  };
  /** null: there is none. */
  standby: {
    state: InstanceState;
    /** It was started a moment ago: one that ends at once is not started as fast as that goes. */
    isFresh: boolean;
    /** Another one would be made now. */
    isOutdated: boolean;
    /** It reaches what the other one is not to reach any more: it serves for nobody. */
    isBarred: boolean;
    answers: boolean;
    /** It has nothing left to complete, or had its time. */
    isDrained: boolean;
  } | null;
  phase: Phase;
}

export type Deed = 'none' | 'create' | 'remove' | 'start' | 'freeze' | 'serve' | 'leave';

export function decide({ wanted, primary, standby, phase }: Seen): Deed {
  if (!wanted) return standby === null ? 'none' : 'remove';
  const isNeeded = primary.runs || primary.isLost;
  if (standby === null) return isNeeded ? 'create' : 'none';
  const { state, isFresh, isOutdated, isBarred, answers, isDrained } = standby;
  if (isBarred) return 'remove';
  const isRetired = isOutdated && primary.runs && phase !== 'serving' && phase !== 'leaving';
  switch (state) {
    case 'created':
    case 'exited':
    case 'backoff':
      return isRetired ? 'remove' : isNeeded && !isFresh ? 'start' : 'none';
    case 'paused':
      return primary.isLost ? 'serve' : isRetired ? 'remove' : 'none';
    case 'running':
      if (phase === 'serving') return primary.answers || !isNeeded ? 'leave' : 'none';
      if (primary.isLost && (answers || phase !== 'warming')) return 'serve';
      if (phase === 'leaving') return isDrained ? 'freeze' : 'none';
      if (isRetired) return 'remove';
      return answers || phase === 'waiting' ? 'freeze' : 'none';
    default:
      return 'none';
  }
}

const ON_REQUEST: ReadonlySet<string> = new Set(['stopped', 'killed']);

/** Whether it is down, or about to be, although nobody asked for that. */
export function isLost({ machine }: Pick<InstanceRecord, 'machine'>): boolean {
  const { state, ending, exit, restarts, mayRestart } = machine;
  if (state === 'backoff') return true;
  if (state === 'starting') return restarts > 0;
  if (state === 'stopping' || state === 'stuck') return ending !== null && !ON_REQUEST.has(ending.reason) && mayRestart;
  if (state !== 'exited' || exit === null || !mayRestart || ON_REQUEST.has(exit.reason)) return false;
  // What was to do something, and did it, is not lost.
  return exit.reason !== 'exit' || exit.exitCode !== 0;
}

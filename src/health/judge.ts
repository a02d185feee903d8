/** A health, of the signs for it. Pure. */

import type { Trouble } from '../guest/index.ts';
import type { InstanceExit, InstanceState } from '../instance/contract.ts';
import type { Verdict } from './beat.ts';
import type { Health, Sign } from './types.ts';

export interface KernelTrouble extends Trouble {
  sinceMs: number;
}

/** What driver or VMM have seen of it. */
export interface SeenWord {
  text: string;
  sinceMs: number;
}

export interface Facts {
  state: InstanceState;
  /** How the last run ended. */
  exit: InstanceExit | null;
  /** How the present one ends. */
  ending?: InstanceExit | null;
  /** Of the kernel that runs. */
  beat: { verdict: Verdict; sinceMs: number; seen: string } | undefined;
  /** `passed`: it did so once. */
  check: { failures: number; retries: number; passed: boolean; since: string | undefined; seen: string } | null;
  /** Processes killed for want of memory lately, and the first of them. */
  oom: { count: number; sinceMs: number; last?: string } | undefined;
  /** What else its kernel has told of lately. */
  troubles?: readonly KernelTrouble[];
  /** The kernel that ran is lost, although not all of it is gone. */
  lost?: (SeenWord & { sign: 'panic' | 'died' }) | undefined;
  /** Another kernel in its machine writes its memory down. */
  dumping?: SeenWord | undefined;
  watchdog?: SeenWord | undefined;
}

export interface Judgement {
  health: Health;
  signs: Sign[];
}

const iso = (ms: number): string => new Date(ms).toISOString();
const LOSSES = ['panic', 'died', 'not-ready'] as const;

/** Signs come with the gravest first; of a paused one see the monitor. */
export function judge(facts: Facts): Judgement {
  const { state, exit, ending, beat, check, oom, troubles = [], lost, dumping, watchdog } = facts;
  if (state === 'stuck' && ending)
    return { health: 'lost', signs: [{ sign: 'unproven', since: ending.at, seen: ending.message }] };
  const loss = LOSSES.find((reason) => exit?.reason === reason);
  if ((state === 'exited' || state === 'backoff') && loss !== undefined && exit !== null)
    return { health: 'lost', signs: [{ sign: loss, since: exit.at, seen: exit.message }] };
  if (state === 'running' && lost !== undefined)
    return { health: 'lost', signs: [{ sign: lost.sign, since: iso(lost.sinceMs), seen: lost.text }] };
  if (state === 'running' && dumping !== undefined)
    return { health: 'lost', signs: [{ sign: 'dumping', since: iso(dumping.sinceMs), seen: dumping.text }] };
  if (state !== 'running' || beat === undefined) return { health: 'unknown', signs: [] };
  const { verdict, sinceMs, seen } = beat;
  const signs: Sign[] = [];
  if (verdict === 'hung') {
    signs.push({ sign: 'silence', since: iso(sinceMs), seen });
    // Alone it says nothing: who gets no time feeds nothing either.
    if (watchdog !== undefined) signs.push({ sign: 'watchdog', since: iso(watchdog.sinceMs), seen: watchdog.text });
  }
  if (verdict === 'mute') signs.push({ sign: 'line', since: iso(sinceMs), seen });
  const fails = check !== null && check.failures >= check.retries;
  if (fails) {
    const seen = `its check failed ${check.failures} times in a row: ${check.seen}`;
    signs.push({ sign: 'check', since: check.since ?? iso(sinceMs), seen });
  }
  if (oom !== undefined) {
    const seen = `its kernel killed ${oom.count} ${oom.count === 1 ? 'process' : 'processes'} for want of memory`;
    const last = oom.last === undefined ? '' : `, the last: ${oom.last}`;
    signs.push({ sign: 'out-of-memory', since: iso(oom.sinceMs), seen: seen + last });
  }
  for (const { kind, sinceMs, text } of troubles) signs.push({ sign: kind, since: iso(sinceMs), seen: text });
  if (verdict === 'starving') signs.push({ sign: 'starved', since: iso(sinceMs), seen });
  if (verdict === 'hung') return { health: 'hung', signs };
  // One that gets no time stalls, too.
  const isTroubled = verdict !== 'starving' && troubles.length > 0;
  if (fails || oom !== undefined || isTroubled || verdict === 'mute') return { health: 'unhealthy', signs };
  if (verdict === 'starving') return { health: 'starving', signs };
  return { health: verdict === 'unheard' || check?.passed === false ? 'unknown' : 'healthy', signs };
}

/** Which healths are bad news. That the host is overloaded is none of its own. */
export const isLoss = (health: Health): boolean => health === 'unhealthy' || health === 'hung' || health === 'lost';

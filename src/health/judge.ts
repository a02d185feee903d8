/** A health, of the signs for it. Pure. */
import type { InstanceExit, InstanceState } from '../instance/contract.ts';
import type { Verdict } from './beat.ts';
import type { Health, Sign } from './types.ts';

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
  oom: { count: number; sinceMs: number } | undefined;
}

export interface Judgement {
  health: Health;
  signs: Sign[];
}

const iso = (ms: number): string => new Date(ms).toISOString();
const LOSSES = ['panic', 'died', 'not-ready'] as const;

/** Signs come with the gravest first; of a paused one see the monitor. */
export function judge({ state, exit, ending, beat, check, oom }: Facts): Judgement {
  if (state === 'stuck' && ending)
    return { health: 'lost', signs: [{ sign: 'unproven', since: ending.at, seen: ending.message }] };
  const loss = LOSSES.find((reason) => exit?.reason === reason);
  if ((state === 'exited' || state === 'backoff') && loss !== undefined && exit !== null)
    return { health: 'lost', signs: [{ sign: loss, since: exit.at, seen: exit.message }] };
  if (state !== 'running' || beat === undefined) return { health: 'unknown', signs: [] };
  const { verdict, sinceMs, seen } = beat;
  const signs: Sign[] = [];
  if (verdict === 'hung') signs.push({ sign: 'silence', since: iso(sinceMs), seen });
  const fails = check !== null && check.failures >= check.retries;
  if (fails) {
    const seen = `its check failed ${check.failures} times in a row: ${check.seen}`;
    signs.push({ sign: 'check', since: check.since ?? iso(sinceMs), seen });
  }
  if (oom !== undefined) {
    const seen = `its kernel killed ${oom.count} ${oom.count === 1 ? 'process' : 'processes'} for want of memory`;
    signs.push({ sign: 'out-of-memory', since: iso(oom.sinceMs), seen });
  }
  if (verdict === 'starving') signs.push({ sign: 'starved', since: iso(sinceMs), seen });
  if (verdict === 'hung') return { health: 'hung', signs };
  if (fails || oom !== undefined) return { health: 'unhealthy', signs };
  if (verdict === 'starving') return { health: 'starving', signs };
  return { health: verdict === 'unheard' || check?.passed === false ? 'unknown' : 'healthy', signs };
}

/** Which healths are bad news. That the host is overloaded is none of its own. */
export const isLoss = (health: Health): boolean => health === 'unhealthy' || health === 'hung' || health === 'lost';

/** Healings in words: what was wrong with an instance, and what became of it. */
import type { InstanceExit, InstanceSpec } from '../instance/contract.ts';

/**
 * `waiting`: for its turn, by back-off. `held`: somebody looks at it, so that nothing is done. `healing`: being ended, or started
 * anew. `healed`: a new kernel is up. `failed`: that one went too, before it was up. `given-up`: its policy lets it rest. `over`:
 * it was somebody's else to decide, or it was well again by itself.
 */
export type HealOutcome = 'waiting' | 'held' | 'healing' | 'healed' | 'failed' | 'given-up' | 'over';

export interface Healing {
  /** When it was seen: ISO 8601 UTC. */
  at: string;
  name: string;
  /** How it ended, or what it was ended for. */
  cause: InstanceExit['reason'];
  /** For people. */
  why: string;
  /** Which restart in a row, from 1. */
  attempt: number;
  outcome: HealOutcome;
  /** What there is to say of the outcome; empty when nothing. */
  note: string;
  /** From when it was seen until a new kernel was up; null while, and where, there is none. */
  tookMs: number | null;
}

export interface HealStatus {
  name: string;
  state: string;
  restart: InstanceSpec['restart'];
  heal: InstanceSpec['heal'];
  /** Nothing is healed until then: ISO 8601 UTC; null = it may be. */
  heldUntil: string | null;
  /** Somebody knows of its health, so that nothing is healed either. */
  acknowledged: boolean;
  /** The last one; null = none is known. */
  last: Healing | null;
}

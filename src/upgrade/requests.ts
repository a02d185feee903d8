/** Upgrades: what is asked of them, and what is told. */
import type { ErrorBody } from '../sys/errors.ts';

export interface UpgradeRequest {
  /** Kernel image from now on; what is left out stays. */
  image?: string;
  command?: string[];
  /** As in a request for an instance. */
  root?: string;
  /** How long it is watched after it has taken over, before the upgrade counts: ms. Default 2000. */
  watchMs?: number;
  /**
   * How long connections that are open may take to end by themselves, once no new ones come: ms; those that are left are cut.
   * Default 30000.
   */
  drainMs?: number;
  /** Say what would be done, and do nothing. */
  dryRun?: boolean;
}

/** Of all instances that run, are not so already, and can be. */
export interface RolloutRequest extends Omit<UpgradeRequest, 'command'> {
  /** So many at once. Default 1. */
  atMost?: number;
}

/** What became of that so far. */
export interface Rollout {
  /** `failed`: one of them did, and no other was begun. `stopped`: on request. */
  state: 'running' | 'done' | 'failed' | 'stopped';
  request: RolloutRequest;
  /** ISO 8601 UTC. */
  startedAt: string;
  /** null while it goes on. */
  endedAt: string | null;
  /** Names: not begun, and under way. */
  left: string[];
  under: string[];
  done: UpgradeReport[];
  /** Those that run and cannot have it, and why. */
  skipped: { name: string; why: string }[];
  /** The first that failed. */
  failure: { name: string; error: ErrorBody } | null;
}

/** What clients of a service met with from the first step of an upgrade to its last. */
export interface ServedMeanwhile {
  service: string;
  requests: number;
  errors: number;
  retries: number;
}

export interface UpgradeReport {
  name: string;
  /** `beside`: a second kernel serves meanwhile. `pause`: it is down in between. `at-rest`: it does not run. */
  way: 'beside' | 'pause' | 'at-rest';
  /** Why not beside; null where it is. */
  why: string | null;
  /** In the order in which they were planned. */
  steps: { text: string; undo: string }[];
  /** How long its kernel was down; of one that was upgraded beside too. null = it was not begun. */
  downMs: number | null;
  /** While it was down nobody served in its place. */
  isPaused: boolean;
  /** Connections through services that stayed open for longer than they were given, and were cut. */
  cutConnections: number;
  services: ServedMeanwhile[];
}

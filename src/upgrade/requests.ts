/** Upgrades: what is asked of them, and what is told. */

export interface UpgradeRequest {
  /** Kernel image from now on; what is left out stays. */
  image?: string;
  command?: string[];
  /** As in a request for an instance. */
  root?: string;
  /** How long it is watched after it has taken over, before the upgrade counts: ms. Default 2000. */
  watchMs?: number;
  /** Say what would be done, and do nothing. */
  dryRun?: boolean;
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
  services: ServedMeanwhile[];
}

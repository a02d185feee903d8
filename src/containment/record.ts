import type { TableDefinition } from '../core/table.ts';

/** A trial under way. What is still there when a daemon starts was left by one that was killed. */
export interface TrialRecord {
  id: string;
  /** Instances that are its own, to be removed. */
  clones: readonly string[];
}

export const trialTable: TableDefinition<TrialRecord> = { name: 'trials', nameOf: ({ id }) => id, migrations: [] };

/** On each clone: which trial's it is. What does not have it is never removed. */
export const TRIAL_LABEL = 'polykernel.trial';

import type { Partition } from '../types.ts';

/** Why a request has no place, and what would make one. */
export interface Refusal {
  field: string;
  message: string;
  hint: string;
}

export type Owners = Readonly<Record<string, Partition>>;

/** What is done to the host kernel, as data: it is written down before it is done, so that any later process can undo it. */
export interface Act {
  readonly kind: string;
}

/** What has to be done, in order; undo goes backwards. */
export interface ActPlan<A extends Act = Act> {
  acts: A[];
  /** Why less is done than could be, one sentence each. */
  notes: string[];
}

export interface Outcome {
  /** Whether the act is done, or undone, as far as this can be told from the host kernel afterwards. */
  done: boolean;
  /** What a person should know. */
  note?: string;
}

/** One value of the host kernel beside what was asked for. */
export interface ReadBack<A extends Act = Act> {
  act: A;
  /** For people: `interrupt 24`, `huge pages of 2 MiB on node 0`. */
  what: string;
  wanted: string;
  /** undefined when there is no such thing now. */
  real: string | undefined;
  /** Whether it is as wanted. */
  holds: boolean;
}

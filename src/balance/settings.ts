/** What an operator has said of balancing. */
export type Mode = 'off' | 'observe' | 'on';

export interface Settings {
  /** `observe`: decides, and carries nothing out. */
  mode: Mode;
  policy: string;
  /** By instance, until when its size is not to change. ISO 8601 UTC. */
  holds: Readonly<Record<string, string>>;
  /** Why it observes although it was switched on; null = it does as it was told. */
  suspended: string | null;
}

export const DEFAULT_SETTINGS: Settings = { mode: 'off', policy: 'slo', holds: {}, suspended: null };

/** The numbers of `slo`. All times in seconds. */
export const SLO_DEFAULTS = {
  /** Share of requests that may be late by the model for want of CPUs; the promise allows 0.01 of all. */
  risk: 0.003,
  /** Share of seconds that may be spoilt by one request too many: where few come, fewer may wait too long. Chosen on the tuning half, request by request. */
  spoilt: 0.3,
  /** How far ahead demand is foreseen: a window, and the move. */
  lead: 1.5,
  /** Share of the quiet windows whose jumps of demand are kept free, and the half-life of their histogram. */
  jumps: 0.9,
  halfLife: 120,
  /** What was not needed for `quiet` is given, a piece every `pace`. */
  quiet: 5,
  pace: 1,
  /** What waits is to be gone within. */
  drain: 1,
  /** A given piece has to stay away for so long to be worth its two moves. */
  charge: 20,
};

export type SloParameters = typeof SLO_DEFAULTS;

/**
 * One change of the machine as data: planned, shown, written down, carried out, read back and taken back.
 *
 * To add a kind: in the capability's steps.ts an interface with its data, a line in the capability's union with what takes it
 * back, a function that makes one, and its executor. Without executor, or with an undo that has none, it does not compile.
 */

/** In this order, whatever the kind: what an earlier phase gives up, a later one may take. */
export const PHASES = [
  /** Stop to promise something to clients. */
  'withdraw',
  /** Send clients elsewhere. */
  'reroute',
  'remove',
  'halt',
  /** Take out of kernels what they are to lose. */
  'shrink',
  /** Take away, then give, what kernels share. */
  'detach',
  'attach',
  /** Record who owns what. */
  'assign',
  /** Make what runs sit where it was recorded. */
  'move',
  /** Bring in what kernels gain. */
  'grow',
  'start',
  'resume',
  'create',
  /** Promise something to clients. */
  'publish',
] as const;
export type Phase = (typeof PHASES)[number];

/** A step without what takes it back: all that carries it out. Plain JSON, for it is written down. */
export interface BareStep<Kind extends string = string> {
  /** `SUBJECT.VERB`: `channel.create`. */
  readonly kind: Kind;
  /** Of the one thing it acts on, by which nobody else acts on that at once. */
  readonly name: string;
  /** What it does, for people: `stop web`. */
  readonly text: string;
  readonly phase: Phase;
  /** Further things it acts on, as thingOf() names them. */
  readonly also?: readonly string[];
  /** What it was planned on, as thingOf() names it: nobody changes that while the plan is made, and anybody may afterwards. */
  readonly uses?: readonly string[];
}

export type Step<S extends BareStep, Undo extends BareStep | null> = S & {
  /** What leads back to how it is before; null when nothing does. */
  readonly undo: Undo;
  /** How a person does that. */
  readonly byHand: string;
};
export type AnyStep = Step<BareStep, BareStep | null>;

/**
 * How a kind of step is carried out. `run` may be repeated, and may find the step done in part.
 */
export interface Executor<S extends BareStep> {
  /** Throws when it cannot be begun as things are now. Changes nothing. */
  check(step: S): void | Promise<void>;
  /** Resolves with true where it has read back itself what verify() would. */
  run(step: S, signal: AbortSignal): Promise<void> | Promise<boolean>;
  /** Reads back whether what it wants is so. */
  verify(step: S): boolean | Promise<boolean>;
  /**
   * What becomes of it when the end of the daemon cuts its batch off. `finish`: where it was under way the rest is done.
   * `undo`: it is taken back, also when it was done, for it has no sense without the steps after it.
   */
  afterCrash: 'finish' | 'undo';
}

type Bare<S extends AnyStep> = S | NonNullable<S['undo']>;

/** One for every kind of step, and for every kind that takes one back. */
export type Executors<S extends AnyStep> = {
  readonly [Kind in Bare<S>['kind']]: Executor<Omit<Extract<Bare<S>, { kind: Kind }>, 'undo' | 'byHand'>>;
};

/** `instance web`. */
export const thingOf = ({ kind, name }: Pick<BareStep, 'kind' | 'name'>): string => `${kind.split('.')[0]} ${name}`;

/** All things that steps act on. */
export const thingsOf = (steps: readonly BareStep[]): string[] =>
  steps.flatMap((step) => [thingOf(step), ...(step.also ?? [])]);

/** In the order of their phases, those of one phase as they were given. */
export const byPhase = <S extends BareStep>(steps: readonly S[]): S[] =>
  [...steps].sort((a, b) => PHASES.indexOf(a.phase) - PHASES.indexOf(b.phase));

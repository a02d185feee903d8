/**
 * How much memory kernels should have, by how long their tasks wait for it: the law of Senpai, which grows at once by how far that is
 * above a target, and takes a hundredth now and then while it is below.
 * Source: https://github.com/facebookincubator/senpai (its constants); written from the law, no code was taken.
 *
 * What is taken is nobody's, until somebody needs it. Who needs more than is free gets it from those at rest: from what they have above
 * their entitlement, and from what they can do without where he has less than his own, or a higher priority.
 */
import type { Decision, MemoryKernel, MemoryWindow, Reason, Side } from '../types.ts';

const MIB = 2 ** 20;
/** The smallest piece that moves, where drivers move so many bytes: each move costs both kernels something. */
const LEAST = 16 * MIB;
/** Seconds of waiting that are well, in so many seconds. */
const TARGET = 0.01;
const INTERVAL = 6;
/** The divisors of the error, and the most that is given or taken at once, as a share of what there is. */
const GROW = { divisor: 20, most: 1 };
const SHRINK = { divisor: 10, most: 0.01 };
/** A kernel without PSI: about what a read of a page from a disk takes, and of one of many in a row, which is what is mostly read again. */
const FAULT_SECONDS = 0.001;
const REFAULT_SECONDS = 0.000_05;
/** Left free within by what is taken. */
const RESERVE = { share: 0.15, bytes: 24 * MIB };

interface State {
  stalled: number | null;
  waited: number;
  since: number;
  /** Bytes that the law would have taken, until they are a piece. */
  owed: number;
}

interface Wanted {
  index: number;
  bytes: number;
  reason: Reason;
}

export class MemoryLaw {
  readonly #states = new Map<string, State>();
  #at = Number.NaN;

  /** Those who grow, in order of priority and need, then those who shrink. The same windows give the same decisions. */
  decide(window: MemoryWindow): Decision[] {
    const seconds = Number.isNaN(this.#at) ? 0 : window.at - this.#at;
    this.#at = window.at;
    const wants = window.kernels.map((_, index) => this.#want(window, index, seconds));
    const growing = wants.filter((want) => want !== undefined && want.bytes > 0) as Wanted[];
    const sizes = window.observations.map(({ bytes }) => bytes);
    const decisions: Decision[] = [];
    let { free } = window;
    const priority = (index: number) => window.kernels[index]!.priority;
    for (const want of growing.sort(
      (a, b) => priority(b.index) - priority(a.index) || b.bytes - a.bytes || a.index - b.index,
    )) {
      const room = window.kernels[want.index]!.max - sizes[want.index]!;
      const piece = pieceOf(window.kernels[want.index]!);
      let open = pieces(Math.min(want.bytes, room), piece);
      const unowned = Math.min(open, pieces(free, piece));
      if (unowned > 0) {
        decisions.push(moved(window, sizes, null, want, unowned));
        free -= unowned;
        open -= unowned;
      }
      for (const giver of this.#givers(window, wants, want.index)) {
        if (open <= 0) break;
        const spare = Math.min(open, spareOf(window, sizes, giver, want.index));
        const bytes = pieces(spare, commonPiece(window.kernels[giver]!, window.kernels[want.index]!));
        if (bytes <= 0) continue;
        decisions.push(moved(window, sizes, giver, want, bytes));
        open -= bytes;
      }
    }
    for (const want of wants)
      if (want !== undefined && want.bytes < 0)
        decisions.push(moved(window, sizes, want.index, null, -want.bytes, want.reason));
    return decisions;
  }

  /** Bytes more, or less; undefined: it stays. */
  #want({ at, kernels, observations }: MemoryWindow, index: number, seconds: number): Wanted | undefined {
    const { name, min, max } = kernels[index]!;
    const piece = pieceOf(kernels[index]!);
    const { known, bytes, available, stalled, majorFaults, refaults } = observations[index]!;
    const state = this.#states.get(name) ?? { stalled, waited: 0, since: at, owed: 0 };
    this.#states.set(name, state);
    if (!known) return undefined;
    state.waited +=
      stalled === null
        ? Math.min(1, (majorFaults ?? 0) * FAULT_SECONDS + (refaults ?? 0) * REFAULT_SECONDS) * seconds
        : Math.max(0, stalled - (state.stalled ?? stalled));
    state.stalled = stalled;
    const { waited } = state;
    if (waited > TARGET) {
      this.#states.set(name, { stalled, waited: 0, since: at, owed: 0 });
      if (bytes >= max) return undefined;
      const share = Math.min(GROW.most, (waited / TARGET / GROW.divisor) ** 2 * GROW.most);
      const reason = {
        rule: 'memory-wait',
        waitedMs: waited * 1000,
        overSeconds: Math.max(seconds, at - state.since),
      } as const;
      return { index, bytes: Math.max(piece, pieces(share * bytes, piece)), reason };
    }
    if (at - state.since < INTERVAL) return undefined;
    const error = TARGET / Math.max(waited, 1e-6) / SHRINK.divisor;
    const owed = state.owed + Math.min(SHRINK.most, error ** 2 * SHRINK.most) * bytes;
    const isFree = bytes - piece >= min && available - piece >= reserveOf(bytes);
    this.#states.set(name, { stalled, waited: 0, since: at, owed: isFree && owed < piece ? owed : 0 });
    if (!isFree || owed < piece) return undefined;
    return { index, bytes: -piece, reason: { rule: 'memory-rest', availableBytes: available } };
  }

  /** Batch kernels first, then those of a low priority, then who has the most to spare. */
  #givers({ kernels, observations }: MemoryWindow, wants: readonly (Wanted | undefined)[], taker: number): number[] {
    const isAtRest = (index: number) =>
      index !== taker && observations[index]!.known && (wants[index]?.bytes ?? 0) <= 0;
    return kernels
      .flatMap((_, index) => (isAtRest(index) ? [index] : []))
      .sort(
        (a, b) =>
          Number(kernels[a]!.kind === 'service') - Number(kernels[b]!.kind === 'service') ||
          kernels[a]!.priority - kernels[b]!.priority ||
          observations[b]!.available - observations[a]!.available ||
          a - b,
      );
  }
}

/** What a giver can do without, for this taker. */
function spareOf(
  { kernels, observations }: MemoryWindow,
  sizes: readonly number[],
  giver: number,
  taker: number,
): number {
  const { min, entitlement, priority } = kernels[giver]!;
  const outranks = kernels[taker]!.priority > priority;
  const hasOwn = sizes[taker]! >= kernels[taker]!.entitlement;
  const floor = hasOwn && !outranks ? Math.max(min, entitlement) : min;
  // What it gave in this window is taken from what it had free.
  const available = observations[giver]!.available - (observations[giver]!.bytes - sizes[giver]!);
  return Math.min(sizes[giver]! - floor, available - reserveOf(sizes[giver]!));
}

const reserveOf = (bytes: number): number => Math.max(RESERVE.bytes, bytes * RESERVE.share);
const pieces = (bytes: number, piece: number): number => Math.max(0, Math.floor(bytes / piece) * piece);
const pieceOf = ({ step }: MemoryKernel): number => Math.ceil(LEAST / step) * step;

/** What both kernels can give or take. */
function commonPiece(one: MemoryKernel, other: MemoryKernel): number {
  const [a, b] = [pieceOf(one), pieceOf(other)];
  return (a / greatestCommon(a, b)) * b;
}

const greatestCommon = (a: number, b: number): number => (b === 0 ? a : greatestCommon(b, a % b));

/** Takes note of it in `sizes`. `why`: of who gives of himself. */
function moved(
  { at, kernels, observations }: MemoryWindow,
  sizes: number[],
  from: number | null,
  to: Wanted | null,
  bytes: number,
  why?: Reason,
): Decision {
  const side = (index: number, by: number, reason: Reason): Side => {
    const before = sizes[index]!;
    sizes[index] = before + by;
    return { kernel: kernels[index]!.name, before, after: before + by, reason };
  };
  const giver =
    from === null
      ? undefined
      : side(from, -bytes, why ?? { rule: 'memory-spare', availableBytes: observations[from]!.available });
  const taker = to === null ? undefined : side(to.index, bytes, to.reason);
  const move = { kind: 'memory', from: giver?.kernel ?? null, to: taker?.kernel ?? null, bytes } as const;
  return { at, move, ...(giver && { giver }), ...(taker && { taker }) };
}

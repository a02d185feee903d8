/**
 * Which kernels are at rest. One that is idle for a while is asked for its numbers less often; whether it stirs is looked at as
 * often as any is measured, from the host and for almost nothing, and then it is asked as before.
 */
import type { InstanceStats } from './types.ts';

/** How long it must have been idle. */
const IDLE_MS = 10_000;
/** How often one at rest is asked: at most. */
export const REST_INTERVAL_MS = 5_000;
/** Of one CPU: a kernel that uses less is idle. */
const IDLE_SHARE = 0.02;
/** One at rest that uses more between two looks stirs: a share of one CPU, and what its clock and its agent take. */
const STIR_SHARE = 0.01;
const STIR_NS = 5_000_000;
/** What answering takes, of a guest that lay still on a busy host: more when it was heard between the two. */
const ANSWER_NS = 15_000_000;
/** One that has been at rest for so long is looked at once in so long, but for what it is asked for. */
const LONG_MS = 30_000;
const SELDOM_MS = 900;

/** What is seen of a kernel at rest: CPU time that it was given, undefined where that is not known, and a number that grows with what it says. */
interface Seen {
  ranNs(): number | undefined;
  heard: number;
}

export class Rest {
  #idleSince: number | undefined;
  #restingSince = 0;
  #lookedMs = 0;
  #heard: number | undefined;
  #ranNs: number | undefined;
  #shared = 0;
  /** Until when samples say that it was still. */
  stillMs = 0;
  isResting = false;

  /** Of an instance that is awake, at each sample. Whether it has been idle for so long that it is at rest from now on. */
  begins(stats: InstanceStats, ranNs: () => number | undefined, atMs: number): boolean {
    if (!isIdle(stats)) this.#idleSince = undefined;
    else this.#idleSince ??= atMs;
    if (this.#idleSince === undefined || atMs - this.#idleSince < IDLE_MS) return false;
    this.#ranNs = ranNs();
    if (this.#ranNs === undefined) return false;
    this.isResting = true;
    this.#shared = sharedWork(stats);
    this.stillMs = atMs;
    this.#restingSince = atMs;
    this.#lookedMs = atMs;
    return true;
  }

  /** Of one at rest: whether it has run or been asked for something since the last look. */
  stirs({ ranNs: look, heard }: Seen, stats: Pick<InstanceStats, 'channels' | 'requests'>, atMs: number): boolean {
    if (isAsked(stats) || sharedWork(stats) !== this.#shared) return true;
    const [before, elapsedMs] = [this.#ranNs, atMs - this.#lookedMs];
    if (atMs - this.#restingSince > LONG_MS && elapsedMs >= 0 && elapsedMs < SELDOM_MS) {
      // Its sample says that it was still: what it did by now is told with the next one.
      this.stillMs = atMs;
      return false;
    }
    const ranNs = look();
    const answered = heard === this.#heard ? 0 : ANSWER_NS;
    const most = Math.max(STIR_NS, elapsedMs * 1e6 * STIR_SHARE) + answered;
    this.#heard = heard;
    if (ranNs === undefined || before === undefined || ranNs - before > most) return true;
    this.#ranNs = ranNs;
    this.#lookedMs = atMs;
    this.stillMs = atMs;
    return false;
  }

  end(): void {
    this.isResting = false;
    this.#idleSince = undefined;
  }
}

/**
 * By what the host counts. A guest counts whole ticks, and is charged one whenever the host was late with it: on a busy host each believes
 * itself busy, for ever. One that is kept from running has tasks that wait.
 */
function isIdle(stats: InstanceStats): boolean {
  const { guest, host } = stats;
  if (guest?.busy == null || host === null || isAsked(stats)) return false;
  return host.cpu < IDLE_SHARE && !guest.runQueue && !guest.blocked;
}

const isAsked = ({ requests }: Pick<InstanceStats, 'requests'>): boolean =>
  requests !== null && (requests.inFlight > 0 || requests.ratePerSecond > 0);

/** Changes with what either end does to its channels. */
const sharedWork = ({ channels }: Pick<InstanceStats, 'channels'>): number =>
  channels.reduce((sum, { messages, depthBytes, drops }) => sum + messages + depthBytes + drops, 0);

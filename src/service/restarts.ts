/** Ends of HAProxy that nobody asked for: how many there were, and when another may be started. */

/** One that lives shorter than this is started again only after a while. */
const STABLE_MS = 1000;
const LONGEST_BACKOFF_MS = 10_000;

/** INVARIANT: each process is seen to end once at most, and its end is told of once another serves. */
export class Restarts {
  #count = 0;
  /** The process whose end is yet to be seen. */
  #running: number | undefined;
  #startedAt = 0;
  /** When it was found gone; undefined once that was told. */
  #goneAt: number | undefined;
  #backoff = 0;

  get count(): number {
    return this.#count;
  }

  /** Takes up the process of an earlier daemon, if there is one. */
  adopt(pid: number | undefined, count: number): void {
    this.#running = pid;
    this.#count = count;
  }

  started(pid: number | undefined): void {
    this.#running = pid;
    this.#startedAt = performance.now();
  }

  /** It is to end. */
  stopping(): void {
    this.#running = undefined;
  }

  /** The process that is gone without having been asked to, if it is `current` no more; undefined when none is. */
  notice(current: number | undefined): number | undefined {
    const pid = this.#running;
    if (pid === undefined || pid === current) return undefined;
    this.#running = undefined;
    this.#goneAt = performance.now();
    const lived = this.#goneAt - this.#startedAt;
    this.#backoff = lived < STABLE_MS ? Math.min(LONGEST_BACKOFF_MS, this.#backoff * 2 || 100) : 0;
    this.#count += 1;
    return pid;
  }

  /** Until another may be started, in ms; below 0 when it was to be already. */
  get waitMs(): number {
    return this.#startedAt + this.#backoff - performance.now();
  }

  /** How long there was none, in ms, now that one serves; undefined when that was told already. */
  over(): number | undefined {
    if (this.#goneAt === undefined) return undefined;
    const took = Math.round(performance.now() - this.#goneAt);
    this.#goneAt = undefined;
    return took;
  }
}

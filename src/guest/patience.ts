/** When a guest that breaks the protocol, or does not answer, is cut off. */
import { type Clock, systemClock } from '../sys/clock.ts';
import { PolykernelError } from '../sys/errors.ts';
import type { GuestProcess } from './process.ts';

/** A guest that breaks the protocol this often is cut off. */
const MAX_VIOLATIONS = 64;
/** What has not been answered by then never will be, where no caller has a deadline of its own. */
const ANSWER_MS = 60_000;
/** A while without an answer counts as so many violations, however many were waited for. */
const LATE = 4;
/** A guest that has left its queue full, and read nothing, for so long is cut off. */
const FULL_MS = 30_000;

/**
 * What a guest may still be forgiven: counts broken rules and answers that did not come. A guest that is paused, or was
 * while an answer was waited for, is not to blame.
 */
export class Patience {
  readonly #name: string;
  readonly #clock: Clock;
  readonly #onEnd: (error: PolykernelError) => void;
  #violations = 0;
  #isResting = false;
  #wokeAt = -Infinity;
  #lateAt = -Infinity;
  #cancelFull: (() => void) | undefined;

  /** `onEnd` is called when there is none left: the guest is to be cut off. */
  constructor(name: string, clock: Clock = systemClock, onEnd: (error: PolykernelError) => void) {
    this.#name = name;
    this.#clock = clock;
    this.#onEnd = onEnd;
  }

  rest(isResting: boolean): void {
    this.#isResting = isResting;
    if (!isResting) this.#wokeAt = this.#clock.monotonic();
  }

  violation(what: string, weight = 1): void {
    this.#violations += weight;
    if (this.#violations > MAX_VIOLATIONS) this.#end(`last: ${what}`);
  }

  /** Calls `action` with an error when the answer to `what` has not come in time. Returns what cancels it. */
  answer(what: string, action: (error: PolykernelError) => void, graceMs = 0): () => void {
    const begun = this.#clock.monotonic();
    return this.#clock.after(graceMs + ANSWER_MS, () => {
      action(this.#lateError());
      if (this.#isToBlame(begun)) this.late(what);
    });
  }

  /** No answer has come to `what`. */
  late(what: string): void {
    const now = this.#clock.monotonic();
    if (now - this.#lateAt < ANSWER_MS) return;
    this.#lateAt = now;
    this.violation(`no answer to ${what}`, LATE);
  }

  /** Ends a session for which its guest does nothing for a while although it `isDue`. Returns what cancels that. */
  expect(process: GuestProcess, isDue: () => boolean): () => void {
    let cancel = () => {};
    const watch = () => {
      const { progress } = process;
      const begun = this.#clock.monotonic();
      cancel = this.#clock.after(ANSWER_MS, () => {
        if (process.exit !== undefined) return;
        if (!isDue() || process.progress !== progress || !this.#isToBlame(begun)) return watch();
        process.finish({ kind: 'failed', value: 0, message: this.#lateError().message });
        this.late('a request');
      });
    };
    watch();
    return () => cancel();
  }

  /** The guest has left all that may wait for it unread: `what`. When it goes on like that it is cut off. */
  full(what: string): PolykernelError {
    const begun = this.#clock.monotonic();
    this.#cancelFull ??= this.#clock.after(FULL_MS, () => {
      this.#cancelFull = undefined;
      if (this.#isToBlame(begun)) this.#end(`it has read nothing for ${FULL_MS / 1000} s, and ${what} wait for it`);
    });
    const message = `the guest ${this.#name} does not read what it is sent: ${what} wait for it`;
    return new PolykernelError('unavailable', message, {
      hint: 'Look at its console. Try again when it is less busy, or restart it.',
    });
  }

  /** It has read something, or is not connected. */
  notFull(): void {
    this.#cancelFull?.();
    this.#cancelFull = undefined;
  }

  #isToBlame(since: number): boolean {
    return !this.#isResting && this.#wokeAt <= since;
  }

  #lateError(): PolykernelError {
    return new PolykernelError('not-ready', `the guest ${this.#name} did not answer in time`, {
      hint: this.#isResting ? 'It is paused: resume it first.' : 'Look at its console; it may hang.',
    });
  }

  #end(why: string): void {
    const message = `the guest ${this.#name} keeps breaking the control protocol (${why})`;
    this.#onEnd(
      new PolykernelError('protocol', message, {
        hint: 'Treat the guest as hostile or broken: look at its console, then remove it.',
      }),
    );
  }
}

/** How far a guest's clock is from the host's, and how it is moved. src/instance/guest-clocks.ts decides when. */
import { PolykernelError } from '../sys/errors.ts';
import type { LineWriter } from './line.ts';
import type { LineSource } from './line-source.ts';
import { encodeFrame, type Pair, ToGuest } from './protocol.ts';

/** By how many milliseconds the clock of the host is ahead of the guest's: somewhere between the two. */
export interface ClockLag {
  least: number;
  most: number;
}

/** Asks a guest for its time: one question at a time. An agent that is older than the question never answers. */
export class TimeQuestion implements LineSource {
  readonly #line: LineWriter;
  #id = 0;
  #answeredMs: number | undefined;
  #unsent = false;
  #waiting:
    | { askedAt: number; now: () => number; resolve(lag: ClockLag): void; reject(error: unknown): void }
    | undefined;

  constructor(line: LineWriter) {
    this.#line = line;
  }

  /** When it was asked what it last answered, by performance.now(). */
  get answeredMs(): number | undefined {
    return this.#answeredMs;
  }

  /** `now`: the host's clock, as Date.now. Rejects with `conflict` when it is asked again before the answer. */
  ask(now: () => number): Promise<ClockLag> {
    this.fail(new PolykernelError('conflict', 'the guest was asked again for its time'));
    return new Promise((resolve, reject) => {
      this.#id = (this.#id + 1) >>> 0;
      this.#unsent = true;
      this.#waiting = { askedAt: performance.now(), now, resolve, reject };
      this.#line.state(this);
    });
  }

  nextFrame(): Buffer | undefined {
    if (!this.#unsent) return undefined;
    this.#unsent = false;
    return encodeFrame(ToGuest.time, this.#id);
  }

  /** A TIME. False when it breaks a rule. */
  receive(id: number, payload: Buffer): boolean {
    if (payload.length !== 8) return false;
    const waiting = this.#waiting;
    if (waiting === undefined || id !== this.#id) return true; // given up meanwhile
    this.#waiting = undefined;
    this.#answeredMs = waiting.askedAt;
    // It read its clock between our question and now. How long that was is told by a clock that nobody sets.
    const roundTrip = performance.now() - waiting.askedAt;
    const most = waiting.now() - Number(payload.readBigUInt64LE() / 1000n) / 1000;
    waiting.resolve({ least: most - roundTrip, most });
    return true;
  }

  fail(error: unknown): void {
    this.#unsent = false;
    this.#waiting?.reject(error);
    this.#waiting = undefined;
  }
}

/**
 * The step that moves a guest's clock: by a difference and not to a time, so that it stays right however late it comes.
 * `slew`: little by little, without it at once.
 */
export const moveClock = (milliseconds: number, how: 'step' | 'slew'): Pair => [
  `time-${how}`,
  `${BigInt(Math.round(milliseconds * 1000)) * 1000n}`,
];

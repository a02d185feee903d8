/**
 * Keeps the wall clocks of guests with the host's. A guest's time stands still while QEMU is stopped, runs a little wrong,
 * and knows nothing of the host's clock being set; or somebody in the guest set it. So each is asked at intervals.
 */

import type { Journal } from '../core/journal.ts';
import type { Kernel } from '../driver/index.ts';
import { type ClockLag, moveClock } from '../guest/index.ts';
import { type Clock, ClockSteps } from '../sys/clock.ts';
import { asPolykernelError } from '../sys/errors.ts';
import type { Provider } from './provider.ts';

/** A clock that is wrong is so for about as long. */
const INTERVAL_MS = 1_000;
/** Of a guest whose clock was right so many times in a row: only somebody in it can put it wrong, and it is asked so many times less often. */
const SETTLED = 10;
const SELDOM = 3;
/** A difference above this is taken away at once. Smaller ones go little by little, so that time does not run backwards. */
const STEP_MS = 250;
/** Below this a clock is right: the question itself takes about as long on a busy machine. */
const RIGHT_MS = 10;
/** An answer that took longer tells little: it is asked again, a few times. */
const VAGUE_MS = 100;
const MOST_QUESTIONS = 4;
/** How long a resumed kernel may take to set its clock before it is said to run. */
const RESUME_PATIENCE_MS = 2_000;

interface Entry {
  kernel: Kernel;
  /** While its clock is looked at. */
  busy: Promise<void> | undefined;
  /** Its agent knows the question. */
  answers: boolean;
  /** So many times in a row its clock was right. */
  right: number;
}

/** INVARIANTS: at most one question and one correction of each guest are under way; without a kernel there is no timer. */
export class GuestClocks {
  readonly #clock: Clock;
  readonly #journal: Journal;
  readonly #entries = new Map<Kernel, Entry>();
  #cancelTick: (() => void) | undefined;
  #closed = false;
  #ticks = 0;
  /** Of the host's clock. */
  readonly #steps: ClockSteps;

  constructor(clock: Clock, journal: Journal) {
    this.#clock = clock;
    this.#journal = journal;
    this.#steps = new ClockSteps(clock, RIGHT_MS);
  }

  /** A kernel is ready or was found again: its clock is kept until it ends. */
  kernelUp(kernel: Kernel, adopted: boolean): void {
    const entry: Entry = { kernel, busy: undefined, answers: false, right: 0 };
    this.#entries.set(kernel, entry);
    void kernel.exited.then(() => this.#entries.delete(kernel));
    // A fresh one has no past that a step could break.
    void this.#look(entry, adopted ? STEP_MS : RIGHT_MS);
    this.#arm();
  }

  /** Resolves when the clock of a kernel that was paused is right again, or should have been by now. */
  async resumed(kernel: Kernel): Promise<void> {
    const entry = this.#entries.get(kernel);
    if (entry === undefined || this.#closed) return;
    const look = this.#look(entry, RIGHT_MS);
    if (!entry.answers) return;
    await new Promise<void>((resolve) => {
      const cancel = this.#clock.after(RESUME_PATIENCE_MS, resolve);
      void look.then(cancel).then(resolve);
    });
  }

  close(): void {
    this.#closed = true;
    this.#cancelTick?.();
    this.#entries.clear();
  }

  #arm(): void {
    if (this.#cancelTick !== undefined || this.#closed) return;
    this.#cancelTick = this.#clock.after(INTERVAL_MS, () => {
      this.#cancelTick = undefined;
      if (this.#entries.size === 0) return;
      const wasSet = this.#steps.take();
      let place = this.#ticks++;
      for (const entry of this.#entries.values()) {
        // Those that are asked seldom are not asked all at once.
        const due = place++ % SELDOM === 0 || entry.right < SETTLED || wasSet;
        if (due && entry.busy === undefined) void this.#look(entry, STEP_MS);
      }
      this.#arm();
    });
  }

  /** Sets the clock right: in one step from `stepMs` on. Never rejects; with an agent that knows no answer it never ends. */
  #look(entry: Entry, stepMs: number): Promise<void> {
    const look = (entry.busy ?? Promise.resolve()).then(() => this.#setRight(entry, stepMs));
    entry.busy = look;
    void look.then(() => {
      if (entry.busy === look) entry.busy = undefined;
    });
    return look;
  }

  async #setRight(entry: Entry, stepMs: number): Promise<void> {
    const { guest } = entry.kernel;
    if (this.#entries.get(entry.kernel) !== entry) return;
    try {
      const lag = await this.#lagOf(entry);
      const middle = (lag.least + lag.most) / 2;
      entry.right = isBeyond(lag, RIGHT_MS) ? 0 : entry.right + 1;
      if (isBeyond(lag, stepMs)) await guest.configure([moveClock(middle, 'step')]);
      else if (isBeyond(lag, RIGHT_MS)) await guest.configure([moveClock(middle, 'slew')]);
    } catch (error) {
      const { code } = asPolykernelError(error, 'setting a clock');
      // Lost, or busy: whoever speaks to it next is told. But one that cannot do it will not the next time.
      if (code !== 'internal') return;
      this.#entries.delete(entry.kernel);
      this.#journal.error(`keeping the clock of ${guest.name}`, error);
    }
  }

  /** The best of a few answers. */
  async #lagOf(entry: Entry): Promise<ClockLag> {
    let best: ClockLag | undefined;
    for (let asked = 0; asked < MOST_QUESTIONS; asked++) {
      const lag = await entry.kernel.guest.clockLag(() => this.#clock.now());
      entry.answers = true;
      if (best === undefined || width(lag) < width(best)) best = lag;
      if (width(best) <= VAGUE_MS) break;
    }
    return best!;
  }
}

const width = ({ least, most }: ClockLag): number => most - least;

/** Whether a clock is certainly wrong by more than that. */
const isBeyond = ({ least, most }: ClockLag, milliseconds: number): boolean =>
  least > milliseconds || most < -milliseconds;

/** Their clocks are set when they begin, and when they go on. */
export const clockProvider = (clocks: GuestClocks): Provider => ({
  name: 'its clock',
  kernelUp: (_record, kernel, _regions, adopted) => clocks.kernelUp(kernel, adopted),
  resumed: (kernel) => clocks.resumed(kernel),
});

/** One run of an instance: from the start of its kernel to its end. */
import type { Kernel } from '../driver/index.ts';
import type { Clock } from '../sys/clock.ts';
import { PolykernelError } from '../sys/errors.ts';
import type { Carried } from './carried.ts';
import type { Workload } from './workload.ts';

/** How long a guest may take to say its last words to this daemon; one that is paused or mute has none. */
const SETTLE_MS = 500;
/** The same, where clients have commands in it that are to go on with the next daemon; and then how long these may take to read. */
const CARRIED_MS = 3_000;

/** INVARIANT: what is asked of the kernel is asked one after the other, and not before it has booted, or has answered this daemon; only killing waits for nothing. */
export class Run {
  kernel: Kernel | undefined;
  workload: Workload | undefined;
  /** While its kernel, an earlier daemon's, has not answered this one: its process, once the host has told. */
  takingOver: { pid: number | null } | undefined;
  /** When this daemon saw its kernel get ready, by the clock that nobody sets. */
  readyMs: number | undefined;
  readonly carried = new Set<Carried>();
  readonly #abort = new AbortController();
  #calls: Promise<unknown> = Promise.resolve();

  /** `kernel`: one that was found again. */
  constructor(kernel?: Kernel) {
    this.kernel = kernel;
  }

  /** Aborted when the boot is cancelled. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** How long it was ready, in milliseconds; 0 when it never was. `readyAt`: what the record says of that. */
  ranMs(clock: Clock, { readyAt }: { readyAt: string | null }): number {
    if (this.readyMs !== undefined) return clock.monotonic() - this.readyMs;
    return readyAt === null ? 0 : clock.now() - Date.parse(readyAt);
  }

  /** Does `work`, which boots or finds the kernel; whatever else is asked of it waits for that. */
  async boot(work: () => Promise<void>): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#calls = promise;
    try {
      await work();
    } finally {
      resolve();
    }
  }

  /** The same of one that an earlier daemon started. */
  async takeOver(work: () => Promise<void>): Promise<void> {
    this.takingOver = { pid: null };
    await this.boot(work).finally(() => {
      this.takingOver = undefined;
    });
  }

  cancelBoot(reason: PolykernelError): void {
    this.#abort.abort(reason);
  }

  /** Pauses the kernel or lets it go on. What a paused guest leaves unread or unanswered is no fault of its own. */
  async call(verb: 'pause' | 'resume'): Promise<void> {
    const call = this.#calls.then(() => this.kernel?.[verb]());
    this.#calls = call.catch(() => {});
    if (verb === 'pause') this.kernel?.guest.rest(true);
    try {
      await call;
    } catch (error) {
      this.kernel?.guest.rest(verb === 'resume');
      throw error;
    }
    if (verb === 'resume') this.kernel?.guest.rest(false);
  }

  /** Asks the guest to end, and ends it after `graceMs`, which is asked for when this has its turn. */
  async stop(graceMs: () => number): Promise<void> {
    await this.#calls;
    await this.kernel?.stop(graceMs());
  }

  async kill(): Promise<void> {
    await this.kernel?.kill();
  }

  /**
   * Lets go of the kernel without touching it. A boot under way is given up. `settle`: what is said in it is read before. Resolves with the
   * sessions that go on with the next daemon.
   */
  async detach(settle = false): Promise<number[]> {
    // One that is being taken over is left as it was found.
    if (this.kernel === undefined || this.takingOver !== undefined) {
      this.cancelBoot(new PolykernelError('unavailable', 'the daemon is ending'));
      await this.#calls;
    }
    if (this.kernel !== undefined) {
      const patience = AbortSignal.timeout(this.carried.size > 0 ? CARRIED_MS : SETTLE_MS);
      if (settle) await this.kernel.guest.settle(patience);
      if (settle) await this.workload?.caughtUp(patience);
      const sessions = settle && !patience.aborted ? await this.#handOver(AbortSignal.timeout(CARRIED_MS)) : [];
      this.kernel.detach();
      return sessions;
    }
    return [];
  }

  async #handOver(patience: AbortSignal): Promise<number[]> {
    const all = [...this.carried].map(async (each) => ((await each.handOver(patience)) ? [each.session] : []));
    return (await Promise.all(all)).flat();
  }
}

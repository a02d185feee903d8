/** What one running kernel sees of channels. */

import type { Journal } from '../core/journal.ts';
import { Mutex } from '../core/mutex.ts';
import type { Kernel, SharedRegion } from '../driver/index.ts';
import type { Clock } from '../sys/clock.ts';
import { asPolykernelError } from '../sys/errors.ts';

/** How long whoever makes or removes a channel waits for the guests that see it. */
const TALK_PATIENCE_MS = 5000;

/** A region to show; `lostId`: that of memory which was there before and is gone. */
export interface Shown {
  region: SharedRegion;
  lostId: string | undefined;
}

/**
 * INVARIANT: what is asked of the guest is asked one after the other, and nobody else waits for that: it may never answer.
 * Nothing here throws or rejects.
 */
export class KernelView {
  readonly kernel: Kernel;
  readonly #journal: Journal;
  readonly #talk = new Mutex();
  /** Ids of channels that it sees. */
  readonly #attached: Set<string>;
  /** Why it does not see one, by id. */
  readonly #refused = new Map<string, string>();
  /** Of these: those it did not answer in time about, so that it is asked again. */
  readonly #late = new Set<string>();
  /** And those that it may have all the same. */
  readonly #half = new Set<string>();

  /** `attached`: ids of what it was started with. */
  constructor(kernel: Kernel, attached: readonly string[], journal: Journal) {
    this.kernel = kernel;
    this.#journal = journal;
    this.#attached = new Set(attached);
  }

  sees(id: string): boolean {
    return this.#attached.has(id);
  }

  /** Why it does not see a channel yet. */
  reason(id: string): string {
    return this.#refused.get(id) ?? 'it is being attached';
  }

  /** Whether it should be asked again about a channel: it may have been paused. */
  isDue(id: string): boolean {
    return this.#late.has(id) && !this.#talk.busy;
  }

  /** Shows it what `current` says when its turn has come; undefined: nothing any more. */
  show(current: () => Shown | undefined): Promise<void> {
    return this.#talk.run(async () => {
      const { region, lostId } = current() ?? {};
      if (region === undefined || this.#attached.has(region.id)) return;
      const { id, name } = region;
      try {
        if (lostId !== undefined) await this.kernel.detachRegion({ id: lostId, name });
        await this.kernel.attachRegion(region);
        this.#attached.add(id);
        this.#refused.delete(id);
        this.#late.delete(id);
        this.#half.delete(id);
      } catch (error) {
        const { code, message, hint } = asPolykernelError(error, 'attaching shared memory');
        this.#refused.set(id, hint === undefined ? message : `${message}. ${hint}`);
        if (code === 'not-ready' || code === 'unavailable') this.#late.add(id);
        // Else it takes none at all while it runs.
        if (code !== 'unsupported') this.#half.add(id);
      }
    });
  }

  /** Takes a channel from it, also one that it was asked to show and did not, or has not answered about. */
  hide({ id, name }: Pick<SharedRegion, 'id' | 'name'>): Promise<void> {
    return this.#talk.run(async () => {
      this.#refused.delete(id);
      this.#late.delete(id);
      const isHalf = this.#half.delete(id);
      if (!this.#attached.delete(id) && !isHalf) return;
      await this.kernel
        .detachRegion({ id, name })
        .catch((error) => this.#journal.error(`taking the channel ${name} from ${this.kernel.guest.name}`, error));
    });
  }
}

/** Waits for what guests were asked, but not for long: what is not done by then is done when they get to it. */
export function patiently(clock: Clock, told: readonly Promise<void>[]): Promise<void> {
  return new Promise((resolve) => {
    const cancel = clock.after(TALK_PATIENCE_MS, resolve);
    void Promise.all(told).then(() => {
      cancel();
      resolve();
    });
  });
}

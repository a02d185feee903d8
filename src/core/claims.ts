/** Locks on named things: whoever acts on several of them gets all at once, or waits. */
import { PolykernelError } from '../sys/errors.ts';

interface Claim {
  things: ReadonlySet<string>;
  granted: boolean;
  grant(): void;
}

/** In the order of asking: nobody is overtaken by one who wants some of the same, so that nobody waits for ever. */
export class Claims {
  readonly #queue: Claim[] = [];

  /**
   * Resolves, once nobody else has any of `things`, with what gives them back. Rejects with `conflict` instead of waiting
   * when asked to, and with the signal's reason when that comes first.
   */
  async take(things: Iterable<string>, whenBusy: 'wait' | 'refuse', signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const claim: Claim = { things: new Set(things), granted: false, grant: resolve };
    const obstacle = this.#obstacle(claim);
    if (obstacle !== undefined && whenBusy === 'refuse') throw busy(obstacle);
    this.#queue.push(claim);
    const give = () => this.#give(claim);
    if (obstacle === undefined) {
      claim.granted = true;
      return give;
    }
    const stop = () => reject(signal.reason);
    signal.addEventListener('abort', stop, { once: true });
    try {
      await promise;
    } catch (error) {
      give();
      throw error;
    } finally {
      signal.removeEventListener('abort', stop);
    }
    return give;
  }

  /** Whether nobody has, or waits for, any of them. */
  areFree(things: Iterable<string>): boolean {
    return this.#obstacle({ things: new Set(things) }) === undefined;
  }

  /** At once; undefined where somebody has one of `things`, or waits for it. */
  tryTake(things: Iterable<string>): (() => void) | undefined {
    const claim: Claim = { things: new Set(things), granted: true, grant: () => {} };
    if (this.#obstacle(claim) !== undefined) return undefined;
    this.#queue.push(claim);
    return () => this.#give(claim);
  }

  /** What somebody who asked earlier has, or waits for. */
  #obstacle(claim: Pick<Claim, 'things'>): string | undefined {
    for (const earlier of this.#queue) {
      if (earlier === claim) return undefined;
      for (const thing of claim.things) if (earlier.things.has(thing)) return thing;
    }
    return undefined;
  }

  #give(claim: Claim): void {
    const index = this.#queue.indexOf(claim);
    if (index === -1) return;
    this.#queue.splice(index, 1);
    for (const waiting of this.#queue) {
      if (waiting.granted || this.#obstacle(waiting) !== undefined) continue;
      waiting.granted = true;
      waiting.grant();
    }
  }
}

const busy = (thing: string): PolykernelError =>
  new PolykernelError('conflict', `${thing} is being changed by another`, {
    field: 'name',
    value: thing.split(' ').at(-1),
    hint: 'Try again once that is done.',
  });

/** Lets a few at a time do what takes much of the machine; others wait in the order in which they came. */
export class Turns {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  /** @param most at a time */
  constructor(most: number) {
    this.#free = most;
  }

  /** `onWait` is called when it has to wait. Throws the reason of `signal` when that comes first, or as `action` does. */
  async run<T>(action: () => Promise<T>, onWait: () => void, signal?: AbortSignal): Promise<T> {
    if (this.#free > 0) this.#free -= 1;
    else {
      onWait();
      await this.#turn(signal);
    }
    try {
      return await action();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free += 1;
      else next();
    }
  }

  async #turn(signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const leave = () => {
      const at = this.#waiting.indexOf(resolve);
      // Its turn has just come.
      if (at < 0) return;
      this.#waiting.splice(at, 1);
      reject(signal?.reason);
    };
    this.#waiting.push(resolve);
    signal?.addEventListener('abort', leave, { once: true });
    try {
      await promise;
    } finally {
      signal?.removeEventListener('abort', leave);
    }
  }
}

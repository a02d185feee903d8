/** A mutex: pieces of work run one after the other, in the order in which they were asked for. */
export class Mutex {
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  /** Whether something is under way or waits. */
  get busy(): boolean {
    return this.#waiting > 0;
  }

  /** Runs `work` once everything before it has ended, however that went. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    this.#waiting += 1;
    const mine = this.#last.then(work, work);
    this.#last = mine.catch(() => {});
    try {
      return await mine;
    } finally {
      this.#waiting -= 1;
    }
  }
}

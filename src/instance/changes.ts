/** Listeners that are told when something has changed, and waiting until a condition holds. */
export class Changes {
  readonly #listeners = new Set<() => void>();

  /** Told after every change. Returns what ends it. */
  listen(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  tell(): void {
    for (const listener of [...this.#listeners]) listener();
  }

  /** Resolves once `condition` holds, which is looked at now and after every change; rejects with the reason of `signal`. */
  until(condition: () => boolean, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      if (condition()) return resolve();
      const stopListening = this.listen(() => {
        if (!condition()) return;
        finish();
        resolve();
      });
      const onAbort = () => {
        finish();
        reject(signal?.reason);
      };
      const finish = () => {
        stopListening();
        signal?.removeEventListener('abort', onAbort);
      };
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  }
}

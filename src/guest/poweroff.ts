/** Waiting for a guest to say that it is about to power off. */
import { PolykernelError } from '../sys/errors.ts';
import type { Patience } from './patience.ts';

/** At most one request to power off is waited for, and not without end. */
export class Poweroff {
  readonly #name: string;
  readonly #patience: Patience;
  #waiting: { resolve(): void; reject(error: unknown): void } | undefined;

  constructor(name: string, patience: Patience) {
    this.#name = name;
    this.#patience = patience;
  }

  /**
   * Resolves when the guest says so, after `send` has asked it. An earlier wait rejects with `conflict`.
   * @throws what `send` does, `not-ready` when nothing comes in time after `graceMs`, or what fail() is told
   */
  expect(graceMs: number, send: () => void): Promise<void> {
    this.fail(new PolykernelError('conflict', `${this.#name} was told again to power off`));
    return new Promise((resolve, reject) => {
      const cancel = this.#patience.answer('a request to power off', (error) => this.fail(error), graceMs);
      const settle = (action: () => void) => {
        cancel();
        this.#waiting = undefined;
        action();
      };
      this.#waiting = { resolve: () => settle(resolve), reject: (error) => settle(() => reject(error)) };
      try {
        send();
      } catch (error) {
        this.fail(error);
      }
    });
  }

  done(): void {
    this.#waiting?.resolve();
  }

  fail(error: unknown): void {
    this.#waiting?.reject(error);
  }
}

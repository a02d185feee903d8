/** Tells guests what their /etc/hosts is, at the pace of each. */
import type { Kernel } from '../driver/index.ts';

export const HOSTS_FILE = '/etc/hosts';

/**
 * INVARIANT: towards one kernel at most one file is on its way and one waits, the newest: a guest that takes none costs no
 * more than that, however often names change.
 */
export class NameTeller {
  readonly #complain: (text: string, error: unknown) => void;
  /** By kernel: what is to be told once it has taken what is on its way; undefined: nothing. */
  readonly #waiting = new Map<Kernel, Uint8Array | undefined>();

  constructor(complain: (text: string, error: unknown) => void) {
    this.#complain = complain;
  }

  tell(kernel: Kernel, content: Uint8Array): void {
    if (this.#waiting.has(kernel)) this.#waiting.set(kernel, content);
    else void this.#send(kernel, content);
  }

  async #send(kernel: Kernel, content: Uint8Array): Promise<void> {
    this.#waiting.set(kernel, undefined);
    try {
      await kernel.guest.writeFile(HOSTS_FILE, 0o644, content);
    } catch (error) {
      this.#complain(`telling ${kernel.guest.name} the names of the network`, error);
    }
    const next = this.#waiting.get(kernel);
    this.#waiting.delete(kernel);
    if (next !== undefined) await this.#send(kernel, next);
  }
}

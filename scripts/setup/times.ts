/** How long set-up took, and how much of it package managers and compilers: what is left is what it does of its own. */
import { readFileSync } from 'node:fs';

/** Seconds since the machine booted. */
const now = (): number => Number.parseFloat(readFileSync('/proc/uptime', 'utf8'));

export class Times {
  readonly #began: number;
  readonly #spent = { downloads: 0, compiles: 0 };

  /** @param before what setup.sh saw of /proc/uptime: when it began, and when its own downloads did and ended. */
  constructor(before = '') {
    const [began = now(), from = 0, to = 0] = before.split(' ').filter(Boolean).map(Number);
    this.#began = began;
    this.#spent.downloads = to - from;
  }

  /** Counts what `action` takes. */
  async of<T>(kind: 'downloads' | 'compiles', action: () => Promise<T>): Promise<T> {
    const from = now();
    try {
      return await action();
    } finally {
      this.#spent[kind] += now() - from;
    }
  }

  /** For people, such as `30.0 s: downloads 20.0 s, compiles 5.0 s, together x 1.20`. */
  toString(): string {
    const { downloads, compiles } = this.#spent;
    const [whole, sum] = [now() - this.#began, downloads + compiles];
    // Below a second it is the clock that is measured.
    const parts = `: downloads ${downloads.toFixed(1)} s, compiles ${compiles.toFixed(1)} s, together x ${(whole / sum).toFixed(2)}`;
    return `${whole.toFixed(1)} s${sum < 1 ? '' : parts}`;
  }
}

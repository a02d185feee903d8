/** Keys of a terminal are its guest's. One that says nothing to several Ctrl-C, for a while, hears none, and is let go of. */
const INTERRUPT = 0x03;
const PRESSED = 3;
/** Longer than a guest on a busy host takes to show one. */
const SILENT_MS = 3_000;

/** INVARIANT: whatever comes from the guest, and every other key, begins anew. */
export class Insistence {
  #count = 0;
  #sinceMs = 0;

  heard(): void {
    this.#count = 0;
  }

  /** Whether to let go. */
  pressed(keys: Uint8Array, nowMs: number): boolean {
    if (keys.some((key) => key !== INTERRUPT)) this.#count = 0;
    else {
      if (this.#count === 0) this.#sinceMs = nowMs;
      this.#count += keys.length;
    }
    return this.#count >= PRESSED && nowMs - this.#sinceMs >= SILENT_MS;
  }
}

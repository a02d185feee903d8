import type { LineSource } from './line-source.ts';
import { encodeFrame, ToGuest } from './protocol.ts';

/** Bells that wait for room on the line: several for one slot are one. */
export class BellSource implements LineSource {
  readonly pending = new Set<number>();

  nextFrame(): Buffer | undefined {
    for (const slot of this.pending) {
      this.pending.delete(slot);
      return encodeFrame(ToGuest.bell, slot);
    }
    return undefined;
  }
}

/** Bells that came in one turn: several of one slot are one. */
export class RungBells {
  #slots = 0;

  add(slot: number): void {
    this.#slots |= 1 << slot;
  }

  take(tell: (slot: number) => void): void {
    const slots = this.#slots;
    this.#slots = 0;
    for (let slot = 0; slots >>> slot !== 0; slot++) if (((slots >>> slot) & 1) !== 0) tell(slot);
  }
}

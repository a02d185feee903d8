/** The power state of a function, as far as it says what is still known of its registers (PCIe 7.5.2.2). */
import type { Layout } from '../layout.ts';
import { ID } from '../rules/index.ts';
import { allOnes, type Width } from '../source.ts';
import { find } from '../walk.ts';

/** Of Power Management Control/Status. */
const POWER_STATE = 0x03;
const NO_SOFT_RESET = 0x08;
/** So long a device may still show the state in which it was before (PCIe 5.9). */
const SETTLE_MS = 10;

export class Power {
  /** In which it was put last; after a reset D0. */
  #state = 0;
  /** Until then what it says of its state is not kept. */
  #settled = Number.NEGATIVE_INFINITY;

  reset(): void {
    this.#state = 0;
  }

  /**
   * Whether the function is to be taken for reset by this write of its power state. It is not if No_Soft_Reset says that its registers are
   * kept, and it is still in the state in which it was put: one that was without power meanwhile is in D0.
   */
  losesContext(layout: Layout, offset: number, value: number, ask: (at: number) => number | undefined): boolean {
    const at = find(layout.capabilities, ID.power)!.offset + 4;
    const now = ask(at);
    const expected = this.#state;
    this.#state = Math.floor(value / 2 ** (8 * (at - offset))) & POWER_STATE;
    return now === undefined || now === allOnes(1) || (now & NO_SOFT_RESET) === 0 || (now & POWER_STATE) !== expected;
  }

  written(now: number): void {
    this.#settled = now + SETTLE_MS;
  }

  /** A bit for each of the bytes read at `asked` that may show the former state. */
  unsettled({ capabilities }: Layout, offset: number, width: Width, asked: number): number {
    const power = asked < this.#settled ? find(capabilities, ID.power) : undefined;
    return power !== undefined && offset < power.offset + 6 && offset + width > power.offset + 4 ? 2 ** width - 1 : 0;
  }
}

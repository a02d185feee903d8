/** Tells a guest that halted itself (`halt -f`) from one that is silent: its machine stays, and nothing wakes its CPUs. */

/** In a row, once a second, at which nothing was heard: one at rest is asked every third. */
const SILENT_LOOKS = 4;

/** When a guest's registers are worth a look: they stop its CPUs for a moment, so never while it speaks. */
export class HaltedLook {
  #heard: number | undefined;
  #silent = 0;

  /** Whether to look now. `heard` grows with all that the guest says. */
  isDue(heard: number): boolean {
    this.#silent = heard === this.#heard ? this.#silent + 1 : 0;
    this.#heard = heard;
    return this.#silent > 0 && this.#silent % SILENT_LOOKS === 0;
  }
}

const INTERRUPTS = 0x200;

/**
 * Whether every CPU of `info registers -a` waits for interrupts with interrupts off, as Linux leaves them when it halts; one that is
 * idle takes them, and one that spins waits for none. False for what is no such text.
 */
export function areHalted(registers: string): boolean {
  const cpus = [...registers.matchAll(/\bR?FL=([0-9a-f]{8}) \[.{1,16}\] .{1,80} HLT=([01])/g)];
  return (
    cpus.length > 0 && cpus.every(([, flags, halted]) => halted === '1' && !(Number.parseInt(flags!, 16) & INTERRUPTS))
  );
}

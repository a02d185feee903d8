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
 * idle takes them, and one that spins waits for none. False for what is no such text, and where one CPU is not told of.
 */
export function areHalted(registers: string): boolean {
  const cpus = [...registers.matchAll(/\b[ER]FL=([0-9a-f]{8}) \[.{1,16}\] .{1,80} HLT=([01])/g)];
  const count = registers.match(/^CPU#[0-9]/gm)?.length;
  return (
    cpus.length === count &&
    cpus.every(([, flags, halted]) => halted === '1' && !(Number.parseInt(flags!, 16) & INTERRUPTS))
  );
}

/**
 * Whether Linux has said so at the end of its console, where what other CPUs had to say may follow. CPUs that wait for each other's locks
 * for ever look as those of areHalted() do where KVM has them wait.
 */
export const hasSaidSo = (end: string): boolean => end.includes('reboot: System halted');

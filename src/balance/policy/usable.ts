/**
 * How many CPUs a kernel can use, learned while it runs: one that has work waiting and still leaves a CPU idle gains nothing by more.
 * Now and then, ever more rarely, it is tried whether that is still so.
 */
const FIRST_TRIAL = 60;
const LONGEST_TRIAL = 960;
/** Seconds in a row that have to say the same, at one size: CPUs that have just come are not yet at work. */
const CERTAIN = 2;

export class Usable {
  /** CPUs, or infinity while no limit was seen. */
  most = Number.POSITIVE_INFINITY;
  #since = 0;
  #fullSince = Number.NaN;
  #size = 0;
  #highest = 0;
  #trialAt = 0;
  #pause = FIRST_TRIAL;

  /** `wants`: it had work waiting the whole time. `peak`: its CPUs busy at most; `cpus`: those it had; `grain`: the piece that moves. */
  learn(at: number, wants: boolean, peak: number, cpus: number, grain: number): void {
    const idles = wants && cpus - peak >= 0.9 * grain;
    if (!idles || cpus !== this.#size) {
      this.#since = at;
      this.#highest = 0;
    }
    // One that works with all of as much as it was said to use can use more.
    const isFull = wants && cpus >= this.most - 1e-9 && cpus - peak < 0.1 * grain && cpus === this.#size;
    this.#fullSince = isFull ? (Number.isNaN(this.#fullSince) ? at : this.#fullSince) : Number.NaN;
    this.#size = cpus;
    if (isFull && at - this.#fullSince >= CERTAIN) {
      this.most = cpus + grain;
      this.#fullSince = Number.NaN;
      return;
    }
    if (idles) {
      this.#highest = Math.max(this.#highest, peak);
      if (at - this.#since < CERTAIN) return;
      const limit = Math.ceil(this.#highest / grain - 0.1) * grain;
      this.#pause = limit >= this.most - 1e-9 ? this.#pause : Math.min(LONGEST_TRIAL, this.#pause * 2);
      this.most = Math.max(grain, limit);
      this.#trialAt = at + this.#pause;
    }
    if (at < this.#trialAt || this.most === Number.POSITIVE_INFINITY) return;
    // One piece more: it is taken back if it stays idle.
    this.most += grain;
    this.#trialAt = at + this.#pause;
  }
}

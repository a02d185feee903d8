/** What happened in a run, in as many spans of time as a chart has room for, and the decisions, of which the first are kept. */
import type { Decision, Observation } from '../types.ts';
import type { Case } from './types.ts';

const MOST_SPANS = 600;
const MOST_DECISIONS = 200;

export class Timeline {
  /** [tenant][span]: mean CPUs owned, requests per second, and the highest share of late requests. */
  readonly cpus: Float32Array[];
  readonly arrivals: Float32Array[];
  readonly late: Float32Array[];
  readonly decisions: Decision[] = [];
  readonly spans: number;
  readonly #seconds: number;
  /** Seconds of each span so far: spans are of one second more or less. */
  readonly #seen: Uint32Array;

  constructor({ tenants, seconds }: Pick<Case, 'tenants' | 'seconds'>) {
    this.#seconds = seconds;
    this.spans = Math.min(MOST_SPANS, seconds);
    this.#seen = new Uint32Array(this.spans);
    const rows = () => tenants.map(() => new Float32Array(this.spans));
    this.cpus = rows();
    this.arrivals = rows();
    this.late = rows();
  }

  /** Once a second. */
  note(second: number, observations: readonly Observation[]): void {
    const span = Math.floor((second * this.spans) / this.#seconds);
    const seen = ++this.#seen[span]!;
    for (let index = 0; index < observations.length; index++) {
      const { cpus, arrivals, late } = observations[index]!;
      this.cpus[index]![span]! += (cpus - this.cpus[index]![span]!) / seen;
      this.arrivals[index]![span]! += (arrivals - this.arrivals[index]![span]!) / seen;
      this.late[index]![span] = Math.max(this.late[index]![span]!, late);
    }
  }

  decided(decision: Decision): void {
    if (this.decisions.length < MOST_DECISIONS) this.decisions.push(decision);
  }
}

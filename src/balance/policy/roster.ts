/** What a policy remembers of each kernel, found by its name: kernels come and go. */
import type { Kernel } from '../types.ts';

export class Roster<State> {
  #kernels: readonly Kernel[] | undefined;
  #states: State[] = [];
  #byName = new Map<string, State>();
  readonly #fresh: (kernel: Kernel, others: readonly State[]) => State;

  /** `fresh` makes the state of a newcomer, given those of who is there. */
  constructor(fresh: (kernel: Kernel, others: readonly State[]) => State) {
    this.#fresh = fresh;
  }

  /** In the order of `kernels`. Who left is forgotten. */
  of(kernels: readonly Kernel[]): readonly State[] {
    if (kernels === this.#kernels) return this.#states;
    const states: State[] = [];
    for (const kernel of kernels) states.push(this.#byName.get(keyOf(kernel)) ?? this.#fresh(kernel, states));
    this.#byName = new Map(kernels.map((kernel, index) => [keyOf(kernel), states[index]!]));
    this.#kernels = kernels;
    this.#states = states;
    return states;
  }
}

/** What was learnt of a batch kernel says nothing of the service that it has become. */
const keyOf = ({ kind, name }: Kernel): string => `${kind} ${name}`;

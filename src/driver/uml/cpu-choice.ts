/**
 * Which host CPU each single-CPU kernel of this process gets. A UML kernel that moves between CPUs is 3-4 times slower,
 * so each is pinned to one.
 */
export class CpuChoice {
  readonly #users = new Map<number, number>();
  readonly #allowed: () => readonly number[];

  /** `allowed`: the host CPUs this process may use. */
  constructor(allowed: () => readonly number[]) {
    this.#allowed = allowed;
  }

  /** The CPU with the fewest kernels among `wanted` (or all allowed); of equals the first in order. */
  take(wanted?: readonly number[]): number {
    const candidates = wanted !== undefined && wanted.length > 0 ? wanted : this.#allowed();
    const least = Math.min(...candidates.map((cpu) => this.#count(cpu)));
    const cpu = candidates.find((candidate) => this.#count(candidate) === least) ?? 0;
    this.occupy(cpu);
    return cpu;
  }

  /** Counts a kernel that is pinned already. */
  occupy(cpu: number): void {
    this.#users.set(cpu, this.#count(cpu) + 1);
  }

  release(cpu: number): void {
    this.#users.set(cpu, Math.max(0, this.#count(cpu) - 1));
  }

  #count(cpu: number): number {
    return this.#users.get(cpu) ?? 0;
  }
}

/** That kernels run where they are recorded: each as it comes up, and all when the pool has changed. */
import type { Instance } from './instance.ts';

export interface InPlaceOptions {
  /** Where what owns no CPU runs; undefined: anywhere. */
  housekeepingCpus(): readonly number[] | undefined;
  isEnding(): boolean;
  complain(doing: string, error: unknown): void;
}

export class InPlace {
  readonly #options: InPlaceOptions;
  /** Kernels that are put where they are recorded, since they came up. */
  readonly #conforming = new WeakMap<Instance, Promise<void>>();

  constructor(options: InPlaceOptions) {
    this.#options = options;
  }

  /** Its kernel is up, or was found again. */
  begin(instance: Instance, adopted: boolean): void {
    this.#conforming.set(instance, this.#conform(instance, adopted));
  }

  /** As far as that can be; what cannot be moved is told. */
  async repin(instances: readonly Instance[]): Promise<void> {
    const cpus = this.#options.housekeepingCpus();
    const complain = ({ name }: Instance) => this.#complain(`moving ${name} to its CPUs`);
    await Promise.all(instances.map((instance) => instance.repin(cpus).catch(complain(instance))));
  }

  async areInPlace(instances: readonly Instance[]): Promise<boolean> {
    const cpus = this.#options.housekeepingCpus();
    const each = instances.map(async (instance) => {
      await instance.takenOver();
      await this.#conforming.get(instance);
      return await instance.isInPlace(cpus);
    });
    return (await Promise.all(each)).every(Boolean);
  }

  /** Once it is said to run. */
  async #conform(instance: Instance, adopted: boolean): Promise<void> {
    await Promise.resolve();
    if (this.#options.isEnding()) return;
    const cpus = this.#options.housekeepingCpus();
    const complain = this.#complain(`making ${instance.name} as it is recorded`);
    await instance.conform(cpus).catch(complain);
    // Nobody waits for that: a guest may be mute.
    if (!adopted) void instance.takeSize(cpus).catch(complain);
  }

  #complain(doing: string): (error: unknown) => void {
    return (error) => this.#options.complain(doing, error);
  }
}

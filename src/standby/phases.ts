/** In which phase each standby is, kept across daemons, and what services are to know of it. */
import type { Instance, Instances } from '../instance/contract.ts';
import type { StandIn } from '../service/contract.ts';
import { STANDBY } from './contract.ts';
import type { Phase } from './decide.ts';

const NAME_CHARACTERS = 63;
const SUFFIX = '-standby';

export const standbyName = (name: string): string => `${name.slice(0, NAME_CHARACTERS - SUFFIX.length)}${SUFFIX}`;

export type KeptPhases = Readonly<Record<string, Phase>>;

export class Phases {
  readonly #kept: { get(): KeptPhases | null; put(value: KeptPhases): void };
  readonly #instances: () => Pick<Instances, 'find'>;
  readonly #listeners = new Set<() => void>();
  /** By id of the standby. */
  #phases: KeptPhases;

  constructor(
    kept: { get(): KeptPhases | null; put(value: KeptPhases): void },
    instances: () => Pick<Instances, 'find'>,
  ) {
    this.#kept = kept;
    this.#instances = instances;
    this.#phases = kept.get() ?? {};
  }

  of({ record }: Instance): Phase {
    return this.#phases[record.id] ?? 'warming';
  }

  /** null forgets it. Throws `internal` when it cannot be written. */
  set({ record }: Pick<Instance, 'record'>, phase: Phase | null): void {
    if ((this.#phases[record.id] ?? null) === phase) return;
    const { [record.id]: _, ...others } = this.#phases;
    const phases = phase === null ? others : { ...others, [record.id]: phase };
    this.#kept.put(phases);
    this.#phases = phases;
    this.changed();
  }

  /** One came or went. */
  changed(): void {
    for (const listener of this.#listeners) listener();
  }

  /** The one that stands by for an instance. */
  find(instance: string): Instance | undefined {
    const found = this.#instances().find(standbyName(instance));
    return found?.record.spec.stack === STANDBY ? found : undefined;
  }

  /** As services take it. */
  standIn(instance: string): StandIn | null {
    const standby = this.find(instance);
    if (standby === undefined) return null;
    const phase = this.of(standby);
    return { instance: standby.name, isAsked: phase !== 'waiting', serves: phase === 'serving' };
  }

  /** Calls `listener` when what services are to know has changed. Returns what ends it. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}

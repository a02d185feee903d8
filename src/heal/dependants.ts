/**
 * Who depends on an instance is told when that goes and when it has a new kernel, and gets a new one too where that was asked for.
 *
 * INVARIANT: a restart that was for the sake of another one is never passed back to whoever it came from, so that circles end.
 */
import type { DaemonEvent, EventLog } from '../core/events.ts';
import type { Journal } from '../core/journal.ts';
import type { Steps } from '../core/steps.ts';
import type { Instance, Instances } from '../instance/contract.ts';
import { type InstanceStep, startInstance, stopInstance } from '../instance/steps.ts';
import { type Clock, timestamp } from '../sys/clock.ts';
import { asPolykernelError } from '../sys/errors.ts';
import type { HealEvent } from './events.ts';

const RESTART = ':restart';

export interface DependantsOptions {
  instances(): Pick<Instances, 'list' | 'find'>;
  /** Those that share a channel or a service with an instance, by name, and what they share. */
  peers(name: string): ReadonlyMap<string, string>;
  /** Somebody looks at it: nothing is done to it. */
  isHeld(instance: Instance): boolean;
  steps(): Pick<Steps<InstanceStep>, 'submit'>;
  events: Pick<EventLog, 'tell' | 'listen'>;
  clock: Clock;
  journal: Journal;
}

export class Dependants {
  readonly #options: DependantsOptions;
  readonly #stopListening: () => void;
  readonly #ending = new AbortController();
  /** Those that went, by id, with the names of those for whose sake they did. */
  readonly #down = new Map<string, ReadonlySet<string>>();
  /** Those that are being restarted for others, by id. */
  readonly #restarting = new Map<string, ReadonlySet<string>>();

  constructor(options: DependantsOptions) {
    this.#options = options;
    this.#stopListening = options.events.listen((event) => this.#hear(event));
  }

  /** Those that went while an earlier daemon was there. */
  recover(): void {
    for (const { record, active } of this.#options.instances().list())
      if (!active && record.startedAt !== null) this.#down.set(record.id, new Set());
  }

  close(): void {
    this.#ending.abort();
    this.#stopListening();
  }

  #hear({ type, name, id }: DaemonEvent): void {
    if (type === 'removed') this.#down.delete(id);
    if (type !== 'crashed' && type !== 'exited' && type !== 'ready') return;
    const instance = this.#options.instances().find(name);
    if (instance?.record.id !== id) return;
    if (type === 'ready') this.#back(instance);
    else if (!this.#down.has(id)) this.#gone(instance);
  }

  #gone({ name, record: { id, machine } }: Instance): void {
    this.#down.set(id, this.#restarting.get(id) ?? new Set());
    for (const [each, why] of this.#ofWhom(name))
      this.#tell('dependency-lost', each, `${name}: ${machine.exit?.message || 'it ended'} (${why})`);
  }

  #back({ name, record }: Instance): void {
    const origins = this.#down.get(record.id);
    // It is there for the first time.
    if (origins === undefined) return;
    this.#down.delete(record.id);
    for (const [each, why] of this.#ofWhom(name)) {
      this.#tell('dependency-back', each, `${name} has a new kernel (${why})`);
      const isAsked = each.record.spec.dependsOn.includes(name + RESTART);
      if (isAsked && !origins.has(each.name)) this.#restart(each, new Set([...origins, name]), name);
    }
  }

  /** Those that run and have to do with it, and what. */
  #ofWhom(name: string): [Instance, why: string][] {
    const peers = this.#options.peers(name);
    return this.#options
      .instances()
      .list()
      .flatMap((each): [Instance, string][] => {
        if (each.name === name || each.state !== 'running') return [];
        const depends = each.record.spec.dependsOn.some((text) => text === name || text === name + RESTART);
        const why = depends ? `${each.name} depends on it` : peers.get(each.name);
        return why === undefined ? [] : [[each, why]];
      });
  }

  #restart(instance: Instance, origins: ReadonlySet<string>, why: string): void {
    const { steps, isHeld, journal } = this.#options;
    const { name, record } = instance;
    if (record.spec.attached || this.#restarting.has(record.id)) return;
    if (isHeld(instance)) {
      this.#tell('heal-held', instance, `restart ${name}, which depends on ${why}`);
      return;
    }
    this.#restarting.set(record.id, origins);
    const { startedAt } = record;
    steps()
      .submit([stopInstance(name, startedAt), startInstance(name, startedAt, `: ${why} has a new kernel`)], {
        signal: this.#ending.signal,
      })
      .catch((error) => {
        if (this.#ending.signal.aborted) return;
        journal.error(`restarting ${name} for ${why}`, error);
        this.#tell('heal-failed', instance, asPolykernelError(error, `restarting ${name}`).message);
      })
      .finally(() => this.#restarting.delete(record.id));
  }

  #tell(type: HealEvent, { name, record }: Instance, message: string): void {
    const { events, clock } = this.#options;
    events.tell({ at: timestamp(clock), type, name, id: record.id, message });
  }
}

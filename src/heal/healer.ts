/**
 * Heals instances: a new kernel in the place of one that went, that hangs or whose check fails, as its spec has it. When that is
 * due is the instance's to say (back-off, crash loops); what is done are steps, so that nobody else acts on it meanwhile.
 *
 * INVARIANTS
 * - Nothing is done to one that is held off or whose health somebody has acknowledged, nor before this is taken up.
 * - A successor is started by an instance that is down alone, and it is down when its kernel is proven to be gone.
 * - Without news there is no timer, but for the end of each hold.
 */
import type { DaemonEvent, EventLog } from '../core/events.ts';
import type { Journal } from '../core/journal.ts';
import type { Steps } from '../core/steps.ts';
import type { HealthStatus } from '../health/contract.ts';
import type { Instance, Instances } from '../instance/contract.ts';
import { healInstance, type InstanceStep, restartInstance } from '../instance/steps.ts';
import { type Clock, timestamp } from '../sys/clock.ts';
import { asPolykernelError } from '../sys/errors.ts';
import type { HealEvent } from './events.ts';
import type { Holds } from './holds.ts';
import { type HealingLog, tell } from './log.ts';
import { sickness } from './sickness.ts';
import type { Healing, HealStatus } from './types.ts';

/** After a step that failed. */
const AGAIN_MS = 5_000;

export interface HealerOptions {
  instances(): Pick<Instances, 'list' | 'find' | 'get'>;
  health: { get(name: string): HealthStatus; disown(name: string): void };
  steps(): Pick<Steps<InstanceStep>, 'submit'>;
  log: HealingLog;
  events: Pick<EventLog, 'tell' | 'listen'>;
  clock: Clock;
  journal: Journal;
}

export class Healer {
  readonly #options: HealerOptions;
  readonly #holds: Holds;
  readonly #stopListening: () => void;
  readonly #ending = new AbortController();
  readonly #again = new Map<string, () => void>();
  /** Of those that something is done to now. */
  readonly #busy = new Set<string>();
  #isUp = false;

  constructor(options: HealerOptions, holds: (onEnd: (id: string) => void) => Holds) {
    this.#options = options;
    this.#holds = holds((id) => this.#lookAt(this.#byId(id)));
    this.#stopListening = options.events.listen((event) => this.#hear(event));
  }

  /** Goes on where an earlier daemon was. */
  async recover(): Promise<void> {
    this.#isUp = true;
    const { log, instances } = this.#options;
    for (const { instance: id } of log.allOpen()) {
      const instance = this.#byId(id);
      if (instance === undefined || instance.state === 'exited') log.change(id, { outcome: 'over', note: 'it ended' });
      else if (!instance.isTakingOver) this.#found(instance);
    }
    for (const instance of instances().list()) this.#lookAt(instance);
  }

  close(): void {
    this.#ending.abort();
    this.#stopListening();
    this.#holds.close();
    for (const cancel of this.#again.values()) cancel();
    this.#again.clear();
  }

  /** Its restart is due, or the signs for its health have changed. */
  look(name: string): void {
    this.#lookAt(this.#options.instances().find(name));
  }

  list(): HealStatus[] {
    return this.#options
      .instances()
      .list()
      .map(({ name }) => this.status(name));
  }

  /** Throws `not-found`. */
  status(name: string): HealStatus {
    const { name: known, state, record } = this.#options.instances().get(name);
    const { restart, heal } = record.spec;
    const last = this.#options.log.last(record.id);
    return {
      ...{ name: known, state, restart, heal },
      heldUntil: this.#holds.until(record.id),
      acknowledged: this.#options.health.get(known).acknowledged,
      last: last === undefined ? null : tell(last),
    };
  }

  /** Nothing is healed of it for so long; with null it is again, whether it was held off or its health was acknowledged. Throws `not-found`. */
  hold(name: string, forMs: number | null): HealStatus {
    const instance = this.#options.instances().get(name);
    const { clock, health } = this.#options;
    this.#holds.set(instance.record.id, forMs === null ? null : clock.now() + forMs);
    if (forMs === null) {
      health.disown(instance.name);
      this.#lookAt(instance);
    }
    return this.status(instance.name);
  }

  #byId(id: string): Instance | undefined {
    return this.#options
      .instances()
      .list()
      .find(({ record }) => record.id === id);
  }

  /** Why nothing is to be done; undefined = it may be healed. */
  #heldBy({ name, record }: Instance): string | undefined {
    const until = this.#holds.until(record.id);
    if (until !== null) return `held off until ${until}`;
    return this.#options.health.get(name).acknowledged ? 'somebody knows of it (pk heal on)' : undefined;
  }

  #lookAt(instance: Instance | undefined): void {
    if (instance === undefined || !this.#isUp || this.#ending.signal.aborted) return;
    const { name, state, record } = instance;
    const { log, health } = this.#options;
    if (this.#busy.has(record.id)) return;
    if (state === 'backoff') {
      const { message, reason } = record.machine.exit ?? { message: 'it ended', reason: 'died' };
      if (instance.isRestartDue) this.#act(instance, restartInstance(name, message || reason));
      return;
    }
    if (state !== 'running') return;
    const status = health.get(name);
    const cause = sickness(status, record.spec.heal);
    if (cause === undefined) {
      if (status.health === 'healthy')
        this.#change(record.id, { outcome: 'over', note: 'it was well again by itself' });
      return;
    }
    const why = status.signs.map(({ seen }) => seen).join('; ');
    if (log.open(record.id) === undefined) this.#begin(instance, cause, why, record.machine.restartsInRow + 1);
    this.#act(instance, healInstance(name, { reason: cause, message: why, startedAt: record.startedAt }));
  }

  #act(instance: Instance, step: InstanceStep): void {
    const { id } = instance.record;
    const { steps, journal, clock } = this.#options;
    const held = this.#heldBy(instance);
    if (held !== undefined) {
      if (this.#options.log.open(id)?.outcome !== 'held') this.#tell('heal-held', instance, `${step.text}: ${held}`);
      this.#change(id, { outcome: 'held', note: held });
      return;
    }
    this.#busy.add(id);
    this.#change(id, { outcome: 'healing', note: '' });
    steps()
      .submit([step], { signal: this.#ending.signal })
      .catch((error) => {
        if (this.#ending.signal.aborted) return;
        const { code, message } = asPolykernelError(error, step.text);
        // Somebody else was first.
        if (code === 'conflict' || code === 'not-found') return;
        journal.error(step.text, error);
        this.#tell('heal-failed', instance, message);
        this.#again.get(id)?.();
        this.#again.set(
          id,
          clock.after(AGAIN_MS, () => {
            this.#again.delete(id);
            this.#lookAt(this.#byId(id));
          }),
        );
      })
      .finally(() => {
        this.#busy.delete(id);
        // What changed meanwhile was not looked at.
        if (!this.#again.has(id)) this.#lookAt(this.#byId(id));
      });
  }

  #hear({ type, name, id }: DaemonEvent): void {
    if (type === 'removed') {
      this.#change(id, { outcome: 'over', note: 'it was removed' });
      this.#keep(() => this.#holds.set(id, null));
      return;
    }
    const instance = this.#options.instances().find(name);
    if (instance === undefined || instance.record.id !== id) return;
    if (type === 'crashed' || type === 'exited') this.#ended(instance);
    else if (type === 'restarting') this.#change(id, { outcome: 'healing', note: '' });
    else if (type === 'starting') this.#change(id, { outcome: 'over', note: 'somebody started it' });
    else if (type === 'ready') this.#ready(instance);
    else if (type === 'adopted') this.#found(instance);
  }

  /** An earlier daemon's kernel has answered this one, or there is none. */
  #found({ record, state }: Instance): void {
    const cause = this.#options.log.open(record.id)?.cause;
    // Whether that one is still not well is seen anew.
    if (cause === 'hung' || cause === 'unhealthy')
      this.#change(record.id, { outcome: 'over', note: 'the daemon ended' });
    else if (state === 'running' || state === 'paused')
      this.#change(record.id, { outcome: 'healed', note: 'while no daemon saw it' });
  }

  /** Its kernel is gone, and it is known whether there is to be another. */
  #ended(instance: Instance): void {
    const { id, machine } = instance.record;
    const { exit, restartsInRow, mayRestart } = machine;
    const open = this.#options.log.open(id);
    const message = exit?.message ?? '';
    if (instance.state === 'exited') {
      const note = mayRestart ? 'its policy lets it rest' : 'it was stopped meanwhile';
      this.#change(id, { outcome: mayRestart ? 'given-up' : 'over', note });
    }
    if (instance.state !== 'backoff') return;
    const wasEnded = open?.cause === exit?.reason && (open?.cause === 'hung' || open?.cause === 'unhealthy');
    this.#change(id, wasEnded ? { outcome: 'waiting', note: '' } : { outcome: 'failed', note: message });
    if (!wasEnded) this.#begin(instance, exit?.reason ?? 'died', message, restartsInRow);
  }

  #ready(instance: Instance): void {
    const { id } = instance.record;
    const open = this.#options.log.open(id);
    if (open === undefined) return;
    const tookMs = Math.max(0, this.#options.clock.now() - Date.parse(open.at));
    this.#change(id, { outcome: 'healed', tookMs });
    this.#tell('healed', instance, `of ${open.cause} in ${tookMs} ms`);
  }

  #begin({ name, record }: Instance, cause: Healing['cause'], why: string, attempt: number): void {
    const { log, clock } = this.#options;
    const rest = { outcome: 'waiting', note: '', tookMs: null } as const;
    this.#keep(() => log.add({ at: timestamp(clock), instance: record.id, name, cause, why, attempt, ...rest }));
  }

  #change(id: string, part: Partial<Pick<Healing, 'outcome' | 'note' | 'tookMs'>>): void {
    this.#keep(() => void this.#options.log.change(id, part));
  }

  /** What cannot be written down is done all the same. */
  #keep(write: () => void): void {
    if (this.#ending.signal.aborted) return;
    try {
      write();
    } catch (error) {
      this.#options.journal.error('writing down what is healed', error);
    }
  }

  #tell(type: HealEvent, { name, record }: Instance, message: string): void {
    const { events, clock } = this.#options;
    events.tell({ at: timestamp(clock), type, name, id: record.id, message });
  }
}

/**
 * CPUs go where live metrics say they are needed: at each interval a policy is shown what is, and what it wishes becomes moves.
 *
 * INVARIANTS
 * - Nothing is moved but within bounds that owners stated, by transactions that leave all as it was when they fail.
 * - One decision is carried out at a time, and what is seen meanwhile is not decided on; but for one that takes long: then the others go
 *   on, and those whom it concerns keep their size until it is over.
 * - While it is off there is no timer, else one; while no kernel is elastic nothing is looked at.
 */
import type { EventLog } from '../core/events.ts';
import type { Journal } from '../core/journal.ts';
import { StepError } from '../core/step-errors.ts';
import type { Instances } from '../instance/contract.ts';
import type { ServiceManager } from '../service/contract.ts';
import { type Clock, ClockSteps, timestamp } from '../sys/clock.ts';
import { PolykernelError } from '../sys/errors.ts';
import type { InstanceStats } from '../telemetry/contract.ts';
import type { DecisionLog, DecisionRecord } from './decision-log.ts';
import type { BalanceEvent } from './events.ts';
import { Judge } from './judge.ts';
import type { Moves } from './moves.ts';
import { Observer } from './observer.ts';
import type { MemoryLaw } from './policy/memory.ts';
import { Recorder } from './recorder.ts';
import { Refusals } from './refusals.ts';
import { DEFAULT_SETTINGS, type Mode, type Settings } from './settings.ts';
import type { Controller, Decision, Policy, Window } from './types.ts';
import { groupOf, memoryWindowOf, type Present, type Promised, windowOf } from './watch.ts';
import { type Steered, steering } from './weights.ts';
import { moveText, why } from './why.ts';

/** Telemetry has news no more often. */
const LEAST_INTERVAL_MS = 500;
const MINUTE_MS = 60_000;
/** A move usually takes a tenth of it. */
const PATIENCE_MS = 2_000;
/** The time of day was set by more than that: what policies know of the time that passed is wrong. */
const STEP_MS = 1_000;
/** Moves a minute: each costs both kernels some of their time. */
export const MOST_MOVES = 30;
/** However many the others have: one of its own for who had none for so long. */
const OWN_MOVE_MS = 10_000;
/**
 * A kernel for whose sake so many moves within the time had to be taken back is left alone, for its clients and itself say how late it is.
 * After as many in all, where those of one tenant count once, the policy does not know what it does.
 */
const MOST_UNDONE = 3;
const UNDONE_WITHIN_MS = 10 * MINUTE_MS;

export interface BalancerOptions {
  instances: Pick<Instances, 'list' | 'ledger' | 'get'>;
  /** The latest of each. */
  stats(): readonly InstanceStats[];
  promises(): Promised['promises'];
  moves: Pick<Moves, 'move'>;
  services: Pick<ServiceManager, 'steer'> & { known(): readonly Steered[] };
  /** Loaded with the first window: most daemons never balance. */
  policies(): Promise<readonly Policy[]>;
  memoryLaw(): Promise<Pick<MemoryLaw, 'decide'>>;
  settle(window: Window, wishes: ReturnType<Controller['decide']>): Promise<Decision[]>;
  kept: { get(): Settings | null; put(value: Settings): void };
  decisions: DecisionLog;
  events: Pick<EventLog, 'tell'>;
  clock: Clock;
  journal: Journal;
}

/** Kernels among whom CPUs move. */
interface Group {
  controller: Controller | undefined;
  window: Window | undefined;
  /** Of the last move, until it is known whether it did harm. */
  trial: { judge: Judge; record: DecisionRecord } | undefined;
}

export class Balancer {
  readonly recorder = new Recorder();
  readonly #options: BalancerOptions;
  readonly #observer = new Observer();
  #settings: Settings;
  #policy: Policy | undefined;
  #groups = new Map<string, Group>();
  #cancel: (() => void) | undefined;
  /** Of those that own of the pool, and of those that own nothing. */
  readonly #memoryLaws = new Map<boolean, Pick<MemoryLaw, 'decide'>>();
  /** Services whose requests go elsewhere than their owners said. */
  readonly #steered = new Set<string>();
  /** Whom moves concern that take long. */
  readonly #moving = new Set<string>();
  readonly #refusals: Refusals;
  /** When it was last told what to do: what was before counts for nothing. */
  #toldMs = 0;
  /** Counts what it was told; a look that was begun before arms no other. */
  #turn = 0;
  #ending = new AbortController();
  /** Of the time of day, by which windows are told apart. */
  readonly #steps: ClockSteps;

  constructor(options: BalancerOptions) {
    this.#options = options;
    this.#settings = options.kept.get() ?? DEFAULT_SETTINGS;
    this.#steps = new ClockSteps(options.clock, STEP_MS);
    this.#refusals = new Refusals(options.clock);
  }

  get settings(): Settings {
    const now = this.#options.clock.now();
    const holds = Object.entries(this.#settings.holds).filter(([, until]) => Date.parse(until) > now);
    return { ...this.#settings, holds: Object.fromEntries(holds) };
  }

  /** The last windows, one of each group. */
  windows(): Window[] {
    return [...this.#groups.values()].flatMap(({ window }) => window ?? []);
  }

  /** Goes on as it was told before. */
  async recover(): Promise<void> {
    for (const record of this.#options.decisions.open())
      this.#options.decisions.close(record, 'failed', 'the daemon ended meanwhile; what was done is taken back');
    this.#arm();
  }

  close(): void {
    this.#ending.abort(new PolykernelError('unavailable', 'the daemon is ending'));
    this.#cancel?.();
  }

  /** Throws `invalid` for a policy that there is not. */
  async set(change: { mode?: Mode; policy?: string }): Promise<void> {
    const { policy } = change;
    if (policy !== undefined) await this.policy(policy);
    this.#keep({ ...this.settings, ...change, suspended: null });
    this.#policy = undefined;
    this.#groups.clear();
    this.#memoryLaws.clear();
    this.#refusals.forgetAllBut(new Set());
    this.#toldMs = this.#options.clock.now();
    this.#turn += 1;
    this.#cancel?.();
    this.#cancel = undefined;
    if (this.#settings.mode !== 'on') await this.#letGo();
    this.#arm();
  }

  /** An instance's size stays until then; null ends that. Throws `not-found`. */
  hold(name: string, untilMs: number | null): void {
    const { name: known } = this.#options.instances.get(name);
    const { [known]: _, ...holds } = this.settings.holds;
    const until = untilMs === null ? {} : { [known]: new Date(untilMs).toISOString() };
    this.#keep({ ...this.settings, holds: { ...holds, ...until } });
  }

  #keep(settings: Settings): void {
    this.#options.kept.put(settings);
    this.#settings = settings;
  }

  /** By its name. Throws `invalid`. */
  async policy(name: string): Promise<Policy> {
    const all = await this.#options.policies();
    const found = all.find((policy) => policy.name === name);
    if (found !== undefined) return found;
    throw new PolykernelError('invalid', `there is no policy ${JSON.stringify(name)}`, {
      field: 'policy',
      value: name,
      hint: `Choose one of ${all.map((policy) => policy.name).join(', ')}.`,
    });
  }

  /** Looks again after an interval, while there may be something to balance. */
  #arm(): void {
    if (this.#settings.mode === 'off' || this.#cancel !== undefined || this.#ending.signal.aborted) return;
    const turn = this.#turn;
    const intervalMs = Math.max(LEAST_INTERVAL_MS, (this.#policy?.interval ?? 0) * 1000);
    this.#cancel = this.#options.clock.after(intervalMs, () => {
      void this.#tick(intervalMs / 1000)
        .catch((error) => this.#options.journal.error('balancing', error))
        .then(() => {
          if (turn !== this.#turn) return;
          this.#cancel = undefined;
          this.#arm();
        });
    });
  }

  async #tick(seconds: number): Promise<void> {
    const { instances, stats, promises, clock } = this.#options;
    // A policy counts on time that goes on: it begins anew.
    if (this.#steps.take()) {
      for (const group of this.#groups.values()) group.controller = undefined;
      this.#memoryLaws.clear();
    }
    const list = instances.list().map(({ status }) => status);
    const members = Map.groupBy(list, groupOf);
    members.delete(null);
    for (const key of this.#groups.keys()) if (!members.has(key)) this.#groups.delete(key);
    if (members.size === 0 && !list.some(({ spec }) => spec.elastic?.memoryBytes != null)) return;
    this.#policy ??= await this.policy(this.#settings.policy);
    const policy = this.#policy;
    const { holds } = this.settings;
    this.#refusals.forgetAllBut(new Set(list.map(({ spec }) => spec.name)));
    const isLeftAlone = this.#oftenHarmed();
    const present = {
      instances: list,
      stats: new Map(stats().map((each) => [each.name, each])),
      promises: promises(),
      ledger: instances.ledger(),
      memoryStep: (name: string) => instances.get(name).driver.capabilities().memoryStepBytes,
      isHeld: (name: string) =>
        name in holds || this.#moving.has(name) || this.#refusals.has(name) || isLeftAlone.has(name),
      nowMs: clock.now(),
    };
    this.#observer.forgetAllBut(new Set(list.map(({ id }) => id)));
    for (const [key, elastic] of members) {
      const group = this.#groups.get(key!) ?? { controller: undefined, window: undefined, trial: undefined };
      this.#groups.set(key!, group);
      group.window = windowOf(present, elastic, seconds, this.#observer, group.window);
      await this.#group(group, group.window, policy);
    }
    if (policy.memory) for (const owners of [true, false]) await this.#memory(present, owners, policy);
    await this.#steer(policy);
  }

  async #memory(present: Present, owners: boolean, policy: Policy): Promise<void> {
    const window = memoryWindowOf(present, owners);
    if (window === null) return;
    const law = this.#memoryLaws.get(owners) ?? (await this.#options.memoryLaw());
    this.#memoryLaws.set(owners, law);
    for (const decision of law.decide(window)) if (!(await this.#decided(decision, policy))) return;
  }

  /** Has requests go where CPUs are now, or as their owners said where nothing is carried out. */
  async #steer(policy: Policy): Promise<void> {
    const { services, instances, decisions, clock, journal } = this.#options;
    const isOn = this.#settings.mode === 'on' && this.#settings.suspended === null;
    if (!isOn) return this.#letGo();
    const list = instances.list().map(({ status }) => status);
    // One whose kernels are as large as declared has nothing to follow.
    const elastic = new Set(list.filter((status) => groupOf(status) !== null).map(({ spec }) => spec.name));
    const sizes = new Map(
      list.flatMap(({ spec, state, size }) => (state === 'running' ? [[spec.name, size.cpus]] : [])),
    );
    const { holds } = this.settings;
    for (const service of services.known()) {
      if (!service.targets.some(({ instance }) => elastic.has(instance) && !(instance in holds))) continue;
      const change = steering(service, (instance) => sizes.get(instance), clock.now() / 1000);
      if (change === null) continue;
      const part = { at: timestamp(clock), policy: policy.name, note: '' };
      try {
        await services.steer(service.name, change.times);
        this.#steered.add(service.name);
        for (const decision of change.decisions) {
          decisions.add({ ...part, decision, outcome: 'kept' });
          this.#tell('balance-moved', namesOf(decision), why(decision));
        }
      } catch (error) {
        journal.error(`steering requests of ${service.name}`, error);
      }
    }
  }

  /** Requests go as their owners said. */
  async #letGo(): Promise<void> {
    for (const name of this.#steered) {
      this.#steered.delete(name);
      await this.#options.services
        .steer(name, new Map())
        .catch((error) => this.#options.journal.error(`steering requests of ${name}`, error));
    }
  }

  async #group(group: Group, window: Window, policy: Policy): Promise<void> {
    this.recorder.add(window);
    const isHarm = group.trial?.judge.hear(window);
    if (isHarm === 'harm') return this.#takeBack(group, policy);
    if (isHarm === 'none') group.trial = undefined;
    group.controller ??= policy.begin();
    const decisions = await this.#options.settle(window, group.controller.decide(window));
    for (const decision of decisions) {
      const done = await this.#decided(decision, policy, (record) => {
        group.trial = { judge: new Judge(window, decision), record };
      });
      if (!done) return;
    }
  }

  /** Resolves with whether it is carried out, so that the next one of the same window makes sense. */
  async #decided(decision: Decision, policy: Policy, kept = (_: DecisionRecord) => {}): Promise<boolean> {
    const { decisions, clock } = this.#options;
    const part = { at: timestamp(clock), policy: policy.name, decision };
    const isOn = this.#settings.mode === 'on' && this.#settings.suspended === null;
    if (!isOn) {
      // What is wished again at each interval is told once.
      if (!decisions.isLast(decision, 'observed'))
        decisions.add({ ...part, outcome: 'observed', note: this.#settings.suspended ?? '' });
      return false;
    }
    const [whose] = namesOf(decision);
    const isFull = decisions.count('kept', MINUTE_MS, clock.now()) >= MOST_MOVES;
    if (isFull && decisions.count('kept', OWN_MOVE_MS, clock.now(), whose) > 0) {
      if (!decisions.isLast(decision, 'held'))
        decisions.add({ ...part, outcome: 'held', note: `${MOST_MOVES} moves a minute are the most` });
      return false;
    }
    const record = decisions.add({ ...part, outcome: 'moving', note: '' });
    const names = namesOf(decision);
    return await this.#patiently(names, async () => {
      try {
        await this.#move(decision);
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        decisions.close(record, 'failed', reason);
        this.#tell('balance-failed', names, `${moveText(decision.move)}: ${reason}`);
        return false;
      }
      decisions.close(record, 'kept');
      this.#tell('balance-moved', names, why(decision));
      kept(record);
      return true;
    });
  }

  /** Resolves with what came of `work`, or with false when that takes long: those it concerns stay as they are until it is over. */
  async #patiently(names: readonly string[], work: () => Promise<boolean>): Promise<boolean> {
    const { promise: late, resolve } = Promise.withResolvers<boolean>();
    const cancel = this.#options.clock.after(PATIENCE_MS, () => {
      for (const name of names) this.#moving.add(name);
      resolve(false);
    });
    const done = work().finally(() => {
      cancel();
      for (const name of names) this.#moving.delete(name);
    });
    return await Promise.race([done, late]);
  }

  async #move({ move }: Decision, isBack = false): Promise<void> {
    if (move.kind === 'weight') return;
    const [from, to] = isBack ? [move.to, move.from] : [move.from, move.to];
    const amount = move.kind === 'cpu' ? move.count : move.bytes;
    const request = { resource: move.kind, from: from ?? 'pool', to: to ?? 'pool', amount };
    const names = [from, to].filter((name) => name !== null);
    try {
      await this.#options.moves.move(request, () => {}, this.#ending.signal);
    } catch (error) {
      const things = error instanceof StepError ? error.things : [];
      for (const name of names) if (things.includes(`instance ${name}`)) this.#refusals.add(name);
      throw error;
    }
    for (const name of names) this.#refusals.delete(name);
  }

  /** A move that did harm goes back; of too many of these the policy is told by what follows. */
  async #takeBack(group: Group, policy: Policy): Promise<void> {
    const { decisions } = this.#options;
    const { record, judge } = group.trial!;
    const { harmed } = judge;
    group.trial = undefined;
    const names = namesOf(record.decision);
    const note = `latency of ${harmed.join(' and ')} got worse in both windows after it`;
    await this.#patiently(names, async () => {
      try {
        await this.#move(record.decision, true);
        decisions.close({ ...record, harmed }, 'undone', note);
        this.#tell('balance-undone', names, `${moveText(record.decision.move)}: ${note}`);
        return true;
      } catch (error) {
        this.#options.journal.error('taking back a move', error);
        return false;
      }
    });
    if (this.#distinctHarms() < MOST_UNDONE) return;
    const suspended = `${MOST_UNDONE} moves of ${policy.name} had to be taken back within ten minutes`;
    this.#keep({ ...this.settings, suspended });
    this.#tell('balance-suspended', ['balance'], suspended);
  }

  /**
   * Moves taken back; of those for one tenant's sake one, however many: he is not to stop the policy for others by what he says of himself. Nor by
   * going: what was for the sake of those alone who are gone does not count.
   */
  #distinctHarms(): number {
    const tenants = new Map(this.#options.instances.list().map(({ status: { spec } }) => [spec.name, spec.tenant]));
    const whose = this.#harms().map((names) =>
      names.flatMap((name) => tenants.get(name) ?? (tenants.has(name) ? [null] : [])),
    );
    const ofNone = whose.filter((each) => each.includes(null));
    const ofTenants = new Set(whose.flatMap((each) => (each.includes(null) ? [] : each.slice(0, 1))));
    return ofNone.length + ofTenants.size;
  }

  /** For whose sake moves were taken back: of each. */
  #harms(): (readonly string[])[] {
    const now = this.#options.clock.now();
    const toldFor = now - this.#toldMs;
    // Told in the future: before the clock was set back.
    return this.#options.decisions.harmed(toldFor < 0 ? UNDONE_WITHIN_MS : Math.min(UNDONE_WITHIN_MS, toldFor), now);
  }

  /** Those for whose sake too many moves were taken back lately. */
  #oftenHarmed(): Set<string> {
    const harms = Map.groupBy(this.#harms().flat(), (name) => name);
    return new Set([...harms].flatMap(([name, times]) => (times.length < MOST_UNDONE ? [] : [name])));
  }

  #tell(type: BalanceEvent, names: readonly string[], message: string): void {
    const { events, clock } = this.#options;
    events.tell({ at: timestamp(clock), type, name: names[0] ?? 'balance', id: '', message });
  }
}

const namesOf = ({ taker, giver }: Decision): string[] =>
  [taker?.kernel, giver?.kernel].filter((name) => name !== undefined);

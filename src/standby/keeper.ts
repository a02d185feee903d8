/**
 * Keeps a second kernel of each instance that asks for one: made, got ready, frozen, and given the requests while the first one is
 * away.
 *
 * INVARIANTS
 * - One frozen owns memory of the pool and no CPU. CPUs change their owner while the other kernel is proven to be gone, or has
 *   been moved off them.
 * - Of each instance one thing is done at a time. Without news there is no timer, but while one gets ready, serves or leaves.
 */
import { isDeepStrictEqual } from 'node:util';
import type { DaemonEvent, EventLog } from '../core/events.ts';
import type { Journal } from '../core/journal.ts';
import type { Steps } from '../core/steps.ts';
import type { Instance, Instances, Placement } from '../instance/contract.ts';
import { createInstance, type InstanceStep, removeInstance, startInstance } from '../instance/steps.ts';
import type { ServiceManager, ServiceStatus, TargetStatus } from '../service/contract.ts';
import { type Clock, timestamp } from '../sys/clock.ts';
import { asPolykernelError } from '../sys/errors.ts';
import { STANDBY } from './contract.ts';
import { type Deed, decide, isLost, type Seen } from './decide.ts';
import type { StandbyEvent } from './events.ts';
import { type Phases, standbyName } from './phases.ts';
import { memoryAlone, standbyRequest } from './request.ts';

const LOOK_MS = 100;
/** After something that failed, and from one start to the next. */
const AGAIN_MS = 10_000;
/** What it was asked while it served. */
const DRAIN_MS = 30_000;

export interface KeeperOptions {
  instances(): Pick<Instances, 'list' | 'find' | 'update' | 'repin'>;
  services: Pick<ServiceManager, 'known' | 'list'>;
  steps(): Pick<Steps<InstanceStep>, 'submit'>;
  phases: Phases;
  events: Pick<EventLog, 'tell' | 'listen'>;
  clock: Clock;
  journal: Journal;
}

/** Of one instance. */
interface Work {
  busy: boolean;
  again: boolean;
  /** Why nothing could be done at the last attempt. */
  failure: string | undefined;
  /** When it began to leave. */
  leftAt: number | undefined;
  cancel(): void;
}

export class Keeper {
  readonly #options: KeeperOptions;
  readonly #stopListening: () => void;
  readonly #ending = new AbortController();
  /** By name of the instance that is stood by for. */
  readonly #works = new Map<string, Work>();
  #isUp = false;

  constructor(options: KeeperOptions) {
    this.#options = options;
    this.#stopListening = options.events.listen((event) => this.#hear(event));
  }

  recover(): void {
    this.#isUp = true;
    for (const { name } of this.#options.instances().list()) this.#look(name);
  }

  close(): void {
    this.#ending.abort();
    this.#stopListening();
    for (const { cancel } of this.#works.values()) cancel();
  }

  /** Also of a service: whose target it is is seen at the look. */
  #hear({ type, name }: DaemonEvent): void {
    if (!this.#isUp || type.startsWith('standby-')) return;
    if (type.startsWith('service-')) for (const each of this.#options.instances().list()) this.#look(each.name);
    else this.#look(name.endsWith('-standby') ? this.#primaryOf(name) : name);
  }

  #primaryOf(standby: string): string {
    const names = [...this.#works.keys()];
    return names.find((name) => standbyName(name) === standby) ?? standby;
  }

  #look(name: string): void {
    const asks = this.#options.instances().find(name)?.record.spec.standby === true;
    let work = this.#works.get(name);
    if (this.#ending.signal.aborted || (!asks && work === undefined && this.#options.phases.find(name) === undefined))
      return;
    if (work === undefined) {
      work = { busy: false, again: false, failure: undefined, leftAt: undefined, cancel: () => {} };
      this.#works.set(name, work);
    }
    work.again = true;
    if (!work.busy) void this.#work(name, work);
  }

  async #work(name: string, work: Work): Promise<void> {
    work.busy = true;
    work.cancel();
    let isOver = false;
    try {
      while (work.again && !this.#ending.signal.aborted) {
        work.again = false;
        const deed = decide(await this.#see(name, work));
        if (deed !== 'none') {
          await this.#perform(name, deed, work);
          work.failure = undefined;
          work.again = true;
        }
      }
      isOver = !this.#arm(name, work);
    } catch (error) {
      if (!this.#ending.signal.aborted) this.#failed(name, work, error);
    } finally {
      work.busy = false;
      if (isOver) this.#works.delete(name);
    }
  }

  /** Looks again in a moment while something is on its way. False: there is nothing of it any more. */
  #arm(name: string, work: Work): boolean {
    const { clock, phases, instances } = this.#options;
    const standby = phases.find(name);
    const isMoving = standby?.state === 'running' && phases.of(standby) !== 'waiting';
    const waitMs = isMoving ? LOOK_MS : standby?.active === false ? this.#freshMs(standby) : 0;
    if (waitMs > 0 && !this.#ending.signal.aborted) work.cancel = clock.after(waitMs, () => this.#look(name));
    return standby !== undefined || instances().find(name)?.record.spec.standby === true;
  }

  /** For how long it is not to be started once more. */
  #freshMs({ record }: Instance): number {
    if (record.startedAt === null) return 0;
    const since = this.#options.clock.now() - Date.parse(record.startedAt);
    // One from the future is from before the clock was set back.
    return since < 0 ? 0 : Math.max(0, AGAIN_MS - since);
  }

  #failed(name: string, work: Work, error: unknown): void {
    const { clock, journal, instances } = this.#options;
    const { message } = asPolykernelError(error, `standing by for ${name}`);
    const instance = instances().find(name);
    if (work.failure !== message) {
      journal.error(`standing by for ${name}`, error);
      if (instance !== undefined) this.#tell('standby-failed', instance, message);
    }
    work.failure = message;
    work.cancel = clock.after(AGAIN_MS, () => this.#look(name));
  }

  async #see(name: string, work: Work): Promise<Seen> {
    const { instances, services, phases } = this.#options;
    const primary = instances().find(name);
    const standby = phases.find(name);
    const isOutdated =
      primary !== undefined && standby !== undefined && standby.record.definition !== definitionOf(primary);
    const phase = standby === undefined ? 'warming' : phases.of(standby);
    const lost = primary !== undefined && isLost(primary.record);
    // For one that is to serve there is no time to ask HAProxy.
    const isUrgent = lost && standby?.state === 'paused';
    const known = standby?.state === 'running' && !isUrgent ? await services.list() : services.known();
    const targets = targetsOf(name, known);
    const now = this.#options.clock.monotonic();
    const inFlight = targets.reduce((sum, { standIn }) => sum + (standIn?.inFlight ?? 0), 0);
    return {
      wanted: primary?.record.spec.standby === true && targets.length > 0,
      primary: {
        runs: primary?.state === 'running',
        isLost: primary !== undefined && isLost(primary.record),
        answers: targets.length > 0 && targets.every(({ isItself }) => isItself),
      },
      standby:
        standby === undefined
          ? null
          : {
              state: standby.state,
              isFresh: this.#freshMs(standby) > 0,
              isOutdated,
              isBarred: isOutdated && !isDeepStrictEqual(reachOf(standby), reachOf(primary)),
              answers: targets.length > 0 && targets.every(({ standIn }) => standIn?.answers === true),
              isDrained: inFlight === 0 || (work.leftAt !== undefined && now - work.leftAt > DRAIN_MS),
            },
      phase,
    };
  }

  async #perform(name: string, deed: Deed, work: Work): Promise<void> {
    const { phases, clock, instances } = this.#options;
    const primary = instances().find(name);
    const standby = phases.find(name);
    switch (deed) {
      case 'create':
        await this.#create(primary!);
        return phases.changed();
      case 'remove':
        await this.#giveBack(standby!, primary);
        phases.set(standby!, null);
        await this.#submit([removeInstance(standby!.name, STANDBY)]);
        return phases.changed();
      case 'start':
        await this.#giveBack(standby!, primary);
        phases.set(standby!, 'warming');
        return await this.#submit([startInstance(standby!.name, standby!.record.startedAt, ': it stands by')]);
      case 'freeze':
        if (standby!.state === 'running') await standby!.pause();
        this.#tell(phases.of(standby!) === 'leaving' ? 'standby-rests' : 'standby-ready', primary!, standby!.name);
        return phases.set(standby!, 'waiting');
      case 'serve':
        return await this.#serve(primary!, standby!);
      case 'leave':
        work.leftAt = clock.monotonic();
        await this.#exchange(standby!, primary!);
        return phases.set(standby!, 'leaving');
    }
  }

  async #create(primary: Instance): Promise<void> {
    const request = standbyRequest(primary.record.spec);
    const part = {
      stack: STANDBY,
      definition: definitionOf(primary),
      placement: memoryAlone(primary.record.placement),
    };
    await this.#submit([createInstance(request.name, request, part, `, which stands by for ${primary.name}`)]);
  }

  /** Requests are let in at once: they wait in the network for the moment that it takes to thaw it. */
  async #serve(primary: Instance, standby: Instance): Promise<void> {
    const { phases } = this.#options;
    const thawed = standby.state === 'paused' ? standby.resume() : Promise.resolve();
    phases.set(standby, 'serving');
    await thawed.catch((error) => this.#giveUp(standby, error));
    this.#tell('standby-serves', primary, standby.name);
    // Those of a kernel that may live on are not given away.
    if (!primary.active) await this.#exchange(primary, standby);
  }

  /** One that does not go on stands by for nobody: another is started in its place. Throws `error`. */
  async #giveUp(standby: Instance, error: unknown): Promise<never> {
    this.#options.phases.set(standby, 'warming');
    if (standby.active) await standby.kill('it did not go on when it was to serve').catch(() => {});
    throw error;
  }

  /** One that goes has no CPUs any more, should it have served. */
  async #giveBack(standby: Instance, primary: Instance | undefined): Promise<void> {
    if (primary !== undefined) await this.#exchange(standby, primary);
  }

  /** What CPUs `from` owns are `to`'s from here on. */
  async #exchange(from: Instance, to: Instance): Promise<void> {
    const { instances } = this.#options;
    const [given, had] = [from.record.placement, to.record.placement];
    if (given === null || had === null || given.vcpuCpus.length === 0) return;
    const { cpus, shared } = given.partition;
    const placement: Placement = { ...given, partition: { ...had.partition, cpus, shared } };
    const left = { ...memoryAlone(given)!, partition: { ...given.partition, cpus: [], shared: null } };
    await instances().update(
      new Map([
        [from.name, { placement: left }],
        [to.name, { placement }],
      ]),
      null,
    );
    await instances().repin(from.name);
    await instances().repin(to.name);
  }

  #submit(steps: readonly InstanceStep[]): Promise<void> {
    return this.#options.steps().submit(steps, { signal: this.#ending.signal });
  }

  #tell(type: StandbyEvent, { name, record }: Instance, message: string): void {
    const { events, clock } = this.#options;
    events.tell({ at: timestamp(clock), type, name, id: record.id, message });
  }
}

/** What a kernel reaches beyond itself, and whose it is. */
function reachOf({ record }: Instance) {
  const { network, tenant, volumes, user } = record.spec;
  return { network, tenant, volumes, user };
}

const definitionOf = (primary: Instance): string => {
  const request = standbyRequest(primary.record.spec);
  return JSON.stringify({ name: request.name, create: request });
};

/** Where services send it requests. */
const targetsOf = (name: string, services: readonly ServiceStatus[]): TargetStatus[] =>
  services.flatMap(({ targets }) =>
    targets.filter(({ instance, weight, drain }) => instance === name && weight > 0 && !drain),
  );

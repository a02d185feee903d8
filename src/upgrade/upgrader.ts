/** Upgrades instances: plans on what is, has it carried out all or nothing, and says what clients met with. */
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { EventLog } from '../core/events.ts';
import type { Journal } from '../core/journal.ts';
import type { Mutex } from '../core/mutex.ts';
import type { BareStep } from '../core/step.ts';
import type { Steps } from '../core/steps.ts';
import { type Instance, type InstanceSpec, type Instances, requestOf } from '../instance/contract.ts';
import { removeInstance } from '../instance/steps.ts';
import { type HostPool, reservedBy } from '../pool/contract.ts';
import type { ServiceManager, ServiceStatus } from '../service/contract.ts';
import { changeService, requestOf as requestOfService } from '../service/steps.ts';
import { STANDBY } from '../standby/contract.ts';
import { type Clock, timestamp } from '../sys/clock.ts';
import { asPolykernelError, PolykernelError } from '../sys/errors.ts';
import { type Beside, type Changes, type PlannedStep, planUpgrade, STAND_IN } from './plan.ts';
import type { HandOver, UpgradeReport, UpgradeRequest } from './requests.ts';
import { cutDrained } from './steps.ts';

const WATCH_MS = 2_000;
const DRAIN_MS = 30_000;
const STATE_BYTES = 64 * 2 ** 20;
const STATE_MS = 10_000;
const NAME_CHARACTERS = 63;

export interface UpgraderOptions {
  instances: Instances;
  hostPool: Pick<HostPool, 'topology'>;
  services: ServiceManager;
  steps: Pick<Steps<PlannedStep>, 'planned' | 'submit' | 'holding' | 'isClosed' | 'recovered'>;
  /** Of the state that is being handed over. */
  directory: string;
  /** Of all plans of the whole machine. */
  mutex: Mutex;
  events: Pick<EventLog, 'tell'>;
  clock: Clock;
  journal: Journal;
}

interface Made {
  steps: PlannedStep[];
  cleanup: PlannedStep[];
  /** The second kernel. */
  standIn: string | undefined;
  report: UpgradeReport;
}

export class Upgrader {
  readonly #options: UpgraderOptions;
  /** By name of the instance that is being upgraded. */
  readonly #cuts = new Map<string, number>();

  constructor(options: UpgraderOptions) {
    this.#options = options;
  }

  /**
   * Resolves once the instance runs what was asked for, and has stayed well for as long as asked. Rejects with what speaks against
   * it before anything is changed (`invalid`, `conflict`, `not-found`, `unsupported`), or with what failed, when all was taken back.
   */
  async upgrade(
    name: string,
    request: UpgradeRequest,
    progress: (text: string) => void,
    signal: AbortSignal,
  ): Promise<UpgradeReport> {
    const { instances, mutex, steps, journal } = this.#options;
    const instance = instances.get(name);
    const isDry = request.dryRun ?? false;
    const down = downTime(instance, this.#options.clock);
    if (!isDry) this.#cuts.delete(instance.name);
    /** Those that led to it when it was planned. */
    let before: readonly ServiceStatus[] | undefined;
    try {
      const plan = async (underWay: readonly BareStep[]) => {
        const made = await this.#plan(instance, request, underWay);
        before = await this.#serving(instance.name);
        return isDry ? { ...made, steps: [] } : made;
      };
      const { report, cleanup, standIn } = await steps.planned(plan, {
        ...{ mutex, things: [`instance ${instance.name}`], progress, signal, onFailure: 'undo' },
      });
      if (isDry) return report;
      if (standIn !== undefined) this.cut(instance.name, await cutDrained(standIn, this.#options.services));
      await steps.submit(cleanup).catch((error) => journal.error(`clearing up after the upgrade of ${name}`, error));
      const after = await this.#options.services.list();
      const downMs = report.way === 'at-rest' ? null : down();
      const cutConnections = this.#cuts.get(instance.name) ?? 0;
      const done = { ...report, downMs, cutConnections, services: before!.flatMap((each) => meanwhile(each, after)) };
      // One that ran so already is not told of as another one.
      if (!done.isPaused || downMs !== null) this.#tell('upgraded', instance, outcomeOf(done));
      return done;
    } catch (error) {
      down();
      if (!isDry && before !== undefined)
        this.#tell('upgrade-undone', instance, asPolykernelError(error, 'upgrading').message);
      throw error;
    } finally {
      if (!isDry && request.handOver) this.#forgetState(instance);
    }
  }

  /** So many connections to `name`, or to what stands in for it, end with a kernel while it is upgraded. */
  cut(name: string, connections: number): void {
    this.#cuts.set(name, (this.#cuts.get(name) ?? 0) + connections);
  }

  /** Ends what stood in for another instance when the daemon ended after all else was done. */
  async recover(): Promise<void> {
    const { instances, services, steps, directory } = this.#options;
    for (const id of existsSync(directory) ? readdirSync(directory) : []) {
      const owner = instances.list().find(({ record }) => record.id === id);
      const forget = async () => rmSync(join(directory, id), { recursive: true, force: true });
      // The steps that were cut off may need it.
      await (owner === undefined ? forget() : steps.holding([`instance ${owner.name}`], forget));
    }
    for (const { name } of instances.list().filter(({ record }) => record.spec.stack === STAND_IN)) {
      const led = (await services.list()).filter(({ targets }) => targets.some((each) => each.instance === name));
      const without = led.map((service) => {
        const request = requestOfService(service);
        const targets = request.targets.filter(({ instance }) => instance !== name);
        return changeService({ ...request, targets }, service, `without ${name}`);
      });
      await steps.submit([...without, removeInstance(name, STAND_IN)]);
    }
  }

  async #plan(instance: Instance, request: UpgradeRequest, underWay: readonly BareStep[]): Promise<Made> {
    const { record, state, active, name } = instance;
    const changes = changesOf(request, record.spec);
    if (record.spec.attached || record.spec.stack === STAND_IN || record.spec.stack === STANDBY)
      throw new PolykernelError('unsupported', `${name} ends with what it was started for`, {
        field: 'name',
        value: name,
      });
    if (state !== 'running' && (active || state === 'backoff'))
      throw new PolykernelError('conflict', `${name} is ${state}`, {
        ...{ field: 'name', value: name, hint: 'Upgrade it while it runs, or after it was stopped.' },
      });
    const spec = await this.#resolve(record.spec, changes);
    if (changes.image === record.spec.image) await this.#checkSame(instance);
    const services = await this.#serving(name);
    const runs = state === 'running';
    const beside = runs ? await this.#beside(spec, services, underWay) : 'it does not run';
    const isBeside = typeof beside !== 'string';
    const { watchMs = WATCH_MS, drainMs = DRAIN_MS } = request;
    const handOver = request.handOver ? this.#handOver(instance, request.handOver, runs) : null;
    const facts = { record, spec, changes, runs, services, watchMs, drainMs, handOver };
    const { steps, cleanup } = planUpgrade({ ...facts, beside: isBeside ? beside : null });
    const report: UpgradeReport = {
      name,
      way: isBeside ? 'beside' : runs ? 'pause' : 'at-rest',
      why: isBeside ? null : beside,
      steps: [...steps, ...cleanup].map(({ text, byHand }) => ({ text, undo: byHand })),
      ...{ downMs: null, isPaused: runs && !isBeside, cutConnections: 0, services: [] },
    };
    return { steps, cleanup, report, standIn: isBeside ? beside.request.name : undefined };
  }

  /**
   * Throws `conflict` when its image's name stands for another one since its kernel started: that one is not kept, and so nothing
   * could be taken back.
   */
  async #checkSame({ name, record, active }: Instance): Promise<void> {
    const { imageDigest, spec } = record;
    if (!active || imageDigest === null) return;
    if ((await this.#options.instances.imageDigest(spec.image)) === imageDigest) return;
    throw new PolykernelError('conflict', `${name} runs what ${spec.image} was before, which is kept no more`, {
      ...{ field: 'image', value: spec.image },
      hint: `pk restart ${name} starts what it is now. To have that taken back when it fails, pk image import kernels under names of their own.`,
    });
  }

  #handOver({ name, record }: Instance, { save, load, ...bounds }: HandOver, runs: boolean) {
    if (!runs)
      throw new PolykernelError('conflict', `${name} does not run, so it has no state to hand over`, {
        ...{ field: 'handOver', hint: 'Leave that out, or start it first.' },
      });
    const { limitBytes = STATE_BYTES, deadlineMs = STATE_MS } = bounds;
    return { save, load, limitBytes, deadlineMs, directory: join(this.#options.directory, record.id) };
  }

  /** What was handed over is kept as long as it may be needed to take something back. */
  #forgetState({ record }: Instance): void {
    if (!this.#options.steps.isClosed)
      rmSync(join(this.#options.directory, record.id), { recursive: true, force: true });
  }

  /** As one is to be that was made so from the first. */
  async #resolve(before: InstanceSpec, changes: Changes): Promise<InstanceSpec> {
    // It has its name: one that came to mean something else since then is refused to new ones alone.
    const { name: _, ...request } = requestOf(before);
    const spec = await this.#options.instances.resolve({ ...request, ...changes }, before.name);
    if (spec.driver !== before.driver)
      throw new PolykernelError('unsupported', `${spec.image} needs the driver ${spec.driver}`, { field: 'image' });
    return { ...spec, driverReason: before.driverReason, stack: before.stack };
  }

  async #serving(name: string): Promise<ServiceStatus[]> {
    const sends = ({ targets }: ServiceStatus) =>
      targets.some(({ instance, drain, weight }) => instance === name && !drain && weight > 0);
    return (await this.#options.services.list()).filter(sends);
  }

  /** What a second kernel would be made from, or why there can be none. */
  async #beside(
    spec: InstanceSpec,
    services: readonly ServiceStatus[],
    underWay: readonly BareStep[],
  ): Promise<Beside | string> {
    const { instances, hostPool } = this.#options;
    if (services.length === 0) return 'no service sends requests to it';
    if (spec.channels.length > 0) return 'it is at the end of a channel';
    if (spec.volumes.some(({ readOnly }) => !readOnly)) return 'it writes to a volume, which one at a time may have';
    const name = `${spec.name.slice(0, NAME_CHARACTERS - 5)}-next`;
    if (instances.find(name) !== undefined) return `there is an instance ${name} already`;
    const { publish: _, ...request } = requestOf(spec);
    // Published ports and the host name are one instance's.
    const beside = {
      ...request,
      name,
      hostname: name,
      restart: 'no',
      heal: 'no' as const,
      standby: false,
      dependsOn: [],
    };
    if (spec.partition === null) return { request: beside, placement: null };
    const ledger = instances.ledger();
    const { pool } = ledger;
    if (pool === null) return 'there is no pool';
    const fixed = { ...ledger.partitions, ...reservedBy(ledger, underWay) };
    const requests = [{ name, request: spec.partition, current: null }];
    const { place } = await import('../ledger/planner.ts');
    const { placed, refused } = place({ topology: hostPool.topology(), pool, requests, fixed });
    if (refused[0] !== undefined) return `the pool has no room for a second one: ${refused[0].message}`;
    const { partition, vcpuCpus, reasons } = placed[0]!;
    return { request: beside, placement: { partition, vcpuCpus, reasons } };
  }

  #tell(type: 'upgraded' | 'upgrade-undone', { name, record }: Instance, message: string): void {
    this.#options.events.tell({ at: timestamp(this.#options.clock), type, name, id: record.id, message });
  }
}

/** Throws `invalid` when that is nothing. */
function changesOf({ image, command, root }: UpgradeRequest, spec: InstanceSpec): Changes {
  const changes = { ...(image && { image }), ...(command && { command }), ...(root && { root }) };
  if (Object.keys(changes).length > 0) return changes;
  throw new PolykernelError('invalid', `it is not said what ${spec.name} is to be upgraded to`, {
    field: 'image',
    hint: `Name an image: pk upgrade ${spec.name} --image ${spec.image}`,
  });
}

/** Gives for how long it has been down since now, in ms; null while it has not been. */
function downTime(instance: Instance, clock: Clock): () => number | null {
  let downAt: number | undefined;
  let total: number | null = null;
  const look = () => {
    const isUp = instance.state === 'running';
    if (!isUp) downAt ??= clock.monotonic();
    else if (downAt !== undefined) {
      total = (total ?? 0) + clock.monotonic() - downAt;
      downAt = undefined;
    }
  };
  const stop = instance.onChange(look);
  return () => {
    stop();
    return downAt === undefined ? total : (total ?? 0) + clock.monotonic() - downAt;
  };
}

function meanwhile(before: ServiceStatus, after: readonly ServiceStatus[]) {
  const now = after.find(({ id }) => id === before.id);
  if (now === undefined) return [];
  const since = (of: 'requests' | 'errors' | 'retries') => Math.max(0, now[of] - before[of]);
  return [{ service: before.name, requests: since('requests'), errors: since('errors'), retries: since('retries') }];
}

function outcomeOf({ downMs, isPaused, cutConnections, services }: UpgradeReport): string {
  const served = services.map(
    ({ service, requests, errors }) => `; ${service}: ${requests} requests, ${errors} errors`,
  );
  const down =
    downMs === null
      ? 'without a pause'
      : `its kernel was down for ${downMs} ms${isPaused ? '' : ', another one served'}`;
  const cut = cutConnections > 0 ? `; ${cutConnections} connections that stayed open were cut` : '';
  return `${down}${served.join('')}${cut}`;
}

/** Trials: one at a time, on clones that are gone afterwards, however it ends. */
import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Surroundings } from '../core/surroundings.ts';
import type { Records } from '../core/table.ts';
import type { HealthStatus } from '../health/contract.ts';
import type { Instance, Instances } from '../instance/contract.ts';
import { PolykernelError } from '../sys/errors.ts';
import { removeTree } from '../sys/remove-tree.ts';
import { cloneOf } from './clone.ts';
import { endedBefore } from './ended-before.ts';
import { FAULTS } from './faults.ts';
import { TRIAL_LABEL, type TrialRecord } from './record.ts';
import type { Subject, Trial } from './trial.ts';
import type { TrialReport, TrialRequest } from './types.ts';

const WINDOW_MS = 5_000;
const CHECK_MS = 10_000;
/** A daemon that ends waits so long for the end of a trial. */
const FAREWELL_MS = 5_000;
const HINT = 'A trial needs workloads that do without what clones do not have (docs/containment.md), or --live.';
/** Where clones see the directory that is theirs on a disk of this machine. */
const DISK = '/run/pk-trial-disk';

export interface TrialsOptions extends Pick<Surroundings, 'events' | 'clock' | 'journal' | 'paths'> {
  instances(): Instances;
  /** How an instance does. */
  health(name: string): HealthStatus;
  records: Records<TrialRecord>;
}

type Progress = (text: string) => void;

/** INVARIANT: a clone is in a record from before it is there until after it is gone. */
export class Trials {
  readonly #options: TrialsOptions;
  #running: Promise<unknown> | undefined;
  #ending = new AbortController();
  #dropped = false;

  constructor(options: TrialsOptions) {
    this.#options = options;
  }

  /**
   * Rejects with `not-found`, `invalid`, `conflict` while another one runs or, live, when one of them does not run, `unavailable`
   * when it is interrupted, and as creating and starting instances does.
   */
  async prove(request: TrialRequest, progress: Progress, signal: AbortSignal): Promise<TrialReport> {
    if (this.#running !== undefined)
      throw new PolykernelError('conflict', 'another trial is under way, and each would be seen in the other', {
        hint: 'Try again when it is over.',
      });
    const running = this.#prove(request, progress, AbortSignal.any([signal, this.#ending.signal]));
    this.#running = running;
    try {
      return await running;
    } finally {
      this.#running = undefined;
    }
  }

  /** Removes what an earlier daemon's trials left. */
  async recover(): Promise<void> {
    const { records, journal } = this.#options;
    const unreadable = (id: string, _: string, error: unknown) =>
      journal.error(`the record of the trial ${id} cannot be read and is ignored`, error);
    for (const record of records.all(unreadable)) await this.#remove(record);
  }

  /** Ends one that runs; with `farewell` once its clones are gone. Those that are there after a while, the next daemon takes up. */
  async close(farewell: boolean): Promise<void> {
    this.#dropped = !farewell;
    this.#ending.abort();
    if (!farewell || this.#running === undefined) return;
    const over = Promise.withResolvers<void>();
    const cancel = this.#options.clock.after(FAREWELL_MS, over.resolve);
    await Promise.race([this.#running.catch(() => {}), over.promise]);
    cancel();
    this.#dropped = true;
  }

  async #prove(request: TrialRequest, progress: Progress, signal: AbortSignal): Promise<TrialReport> {
    const { events, clock } = this.#options;
    const { fault, live = false, windowMs = WINDOW_MS } = request;
    const instances = this.#checked(request);
    const common = {
      ...{ fault, live, windowMs, events, clock, progress, signal },
      mayTouch: () => !this.#dropped,
      complain: (doing: string, error: unknown) => this.#options.journal.error(doing, error),
    };
    if (live) {
      const [victim, ...neighbours] = instances.map(asItIs);
      return await (await trialOf({ ...common, victim: victim!, neighbours, notes: [] })).run();
    }
    const id = randomBytes(3).toString('hex');
    const clones = instances.map(({ record }, index) => {
      const disk =
        FAULTS[fault].needs === 'disk' ? { source: join(this.#directory(id), String(index)), target: DISK } : undefined;
      return cloneOf(record.spec, { trial: id, index, network: FAULTS[fault].needs === 'network', disk });
    });
    const record: TrialRecord = { id, clones: clones.map(({ request }) => request.name!) };
    this.#options.records.put(record);
    try {
      progress(`starting clones of ${instances.map(({ name }) => name).join(', ')}`);
      const started = await Promise.all(
        clones.map(({ request }, index) => this.#start(request, instances[index]!.name, signal)),
      );
      const [victim, ...neighbours] = started;
      const notes = clones.flatMap((each) => each.notes);
      return await (await trialOf({ ...common, victim: victim!, neighbours, notes })).run();
    } finally {
      if (!this.#dropped) await this.#remove(record);
    }
  }

  /** The victim first. */
  #checked({ victim, neighbours, fault, live }: TrialRequest): Instance[] {
    const all = [victim, ...neighbours].map((name) => this.#options.instances().get(name));
    const twice = all.find((each, index) => all.indexOf(each) !== index);
    if (twice !== undefined)
      throw new PolykernelError('invalid', `${twice.name} is named twice`, {
        field: 'neighbours',
        value: twice.name,
        hint: 'Name one victim, and others as its neighbours.',
      });
    if (!live) return all;
    for (const { name, state } of all)
      if (state !== 'running')
        throw new PolykernelError('conflict', `${name} is ${state}: a trial on it itself needs it running`);
    if (FAULTS[fault].needs === 'disk')
      throw new PolykernelError('unsupported', `${fault} would write to the disks of ${all[0]!.name}`, {
        field: 'live',
        hint: 'Leave out --live: its clone gets a directory of its own.',
      });
    if (FAULTS[fault].needs === 'network' && all.some(({ status }) => status.address === null))
      throw new PolykernelError('unsupported', `${fault} needs a network between them, and one of them has none`, {
        field: 'live',
        hint: 'Leave out --live, or give all of them --network private.',
      });
    return all;
  }

  async #start(request: ReturnType<typeof cloneOf>['request'], name: string, signal: AbortSignal): Promise<Subject> {
    for (const { source } of request.volumes ?? [])
      if (source.startsWith(join(this.#options.paths.home, 'trials')))
        mkdirSync(source, { recursive: true, mode: 0o700 });
    const instance = await this.#options.instances().create(request);
    await instance.start(signal);
    if (instance.state !== 'running') throw endedBefore({ name, instance });
    await this.#untilWell(instance, name, signal);
    return {
      name,
      instance,
      disk: request.volumes?.some(({ target }) => target === DISK) ? `${DISK}/file` : undefined,
    };
  }

  /** Until its workload's check passes, if it has one: otherwise its failing would seem to be the fault's doing. */
  async #untilWell({ name: clone, record }: Instance, name: string, signal: AbortSignal): Promise<void> {
    const { healthCommand, healthStartPeriodMs, healthRetries, healthIntervalMs, healthTimeoutMs } = record.spec;
    if (healthCommand === null) return;
    const { clock, health } = this.#options;
    const patience = healthStartPeriodMs + healthRetries * (healthIntervalMs + healthTimeoutMs) + CHECK_MS;
    for (
      const end = clock.monotonic() + patience;
      ;
      await new Promise<void>((done) => clock.after(CHECK_MS / 100, done))
    ) {
      const { health: now, signs } = health(clone);
      if (now === 'healthy' || now === 'starving') return;
      if (signal.aborted) throw new PolykernelError('unavailable', 'the trial was interrupted');
      if (clock.monotonic() < end) continue;
      throw new PolykernelError(
        'unsupported',
        `the clone of ${name} is ${now}: ${signs[0]?.seen ?? 'no check passed'}`,
        {
          hint: HINT,
        },
      );
    }
  }

  /** Its clones, its directory and the record. Never rejects: what is left, the next daemon takes up. */
  async #remove(record: TrialRecord): Promise<void> {
    const { records, journal } = this.#options;
    try {
      for (const name of record.clones) {
        const clone = this.#options.instances().find(name);
        if (clone?.record.spec.labels[TRIAL_LABEL] === record.id) await this.#options.instances().remove(name, true);
      }
      // Its clones wrote there what they liked.
      await removeTree(this.#directory(record.id));
      records.delete(record.id);
    } catch (error) {
      journal.error(`removing the clones of the trial ${record.id}`, error);
    }
  }

  #directory(id: string): string {
    return join(this.#options.paths.home, 'trials', id);
  }
}

const asItIs = (instance: Instance): Subject => ({ name: instance.name, instance });

/** Loaded when one is made: few daemons ever make any. */
async function trialOf(options: ConstructorParameters<typeof Trial>[0]): Promise<Trial> {
  const { Trial } = await import('./trial.ts');
  return new Trial(options);
}

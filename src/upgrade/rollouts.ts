/**
 * Upgrades of all that can have it, so many at once. They are the daemon's to carry on, and the next daemon's: whoever asked for
 * it may go, and asking again for the same follows what goes on.
 *
 * INVARIANTS
 * - At most one is under way, and what is known of it is stored before anything is done of it.
 * - The first upgrade that fails is taken back and no other is begun.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Journal } from '../core/journal.ts';
import type { Steps } from '../core/steps.ts';
import type { InstanceSpec, Instances } from '../instance/contract.ts';
import { type Clock, timestamp } from '../sys/clock.ts';
import { asPolykernelError, PolykernelError } from '../sys/errors.ts';
import type { PlannedStep } from './plan.ts';
import type { Rollout, RolloutRequest } from './requests.ts';
import type { Upgrader } from './upgrader.ts';

type Say = (text: string) => void;

export interface RolloutsOptions {
  upgrader: Pick<Upgrader, 'upgrade'>;
  instances: Pick<Instances, 'list' | 'find'>;
  steps: Pick<Steps<PlannedStep>, 'isClosed'>;
  kept: { get(): Rollout | null; put(value: Rollout): void };
  clock: Clock;
  journal: Journal;
}

export class Rollouts {
  readonly #options: RolloutsOptions;
  readonly #followers = new Set<Say>();
  #stop = new AbortController();
  /** Until it is over, or the daemon ends. */
  #under: Promise<void> | undefined;
  #isClosed = false;
  readonly #recovered = Promise.withResolvers<void>();

  constructor(options: RolloutsOptions) {
    this.#options = options;
  }

  /** The last one, or the one that is under way. Throws `not-found`. */
  get(): Rollout {
    const known = this.#options.kept.get();
    if (known !== null) return known;
    throw new PolykernelError('not-found', 'no upgrade of all is known', {
      hint: 'Begin one: pk upgrade --all --image NAME',
    });
  }

  /**
   * Resolves with what became of it, also where one of them failed. Rejects with the signal's reason, and it goes on; with
   * `conflict` while another one goes on; and with what speaks against all of them.
   */
  async begin(request: RolloutRequest, say: Say, signal: AbortSignal): Promise<Rollout> {
    if (request.image === undefined && request.root === undefined)
      throw new PolykernelError('invalid', 'it is not said what all are to be upgraded to', {
        ...{ field: 'image', hint: 'Name an image: pk upgrade --all --image debian:uml' },
      });
    await this.#recovered.promise;
    if (this.#under === undefined) {
      const { left, skipped, dry } = await this.#candidates(request, signal);
      const rest = {
        left: request.dryRun ? [] : left,
        under: [],
        done: request.dryRun ? dry : [],
        skipped,
        failure: null,
      };
      const made: Rollout = {
        state: 'running',
        request,
        startedAt: timestamp(this.#options.clock),
        endedAt: null,
        ...rest,
      };
      for (const { name, why } of skipped) say(`${name} is left as it is: ${why}`);
      if (request.dryRun) return { ...made, state: 'done' };
      signal.throwIfAborted();
      // Another one may have begun meanwhile.
      if (this.#under === undefined) {
        this.#options.kept.put(made);
        this.#go(made);
      }
    }
    const now = this.get();
    if (!isDeepStrictEqual(now.request, request))
      throw new PolykernelError('conflict', 'another upgrade of all is under way', {
        hint: 'See pk upgrade --status; pk upgrade --stop ends it.',
      });
    return await this.#follow(say, signal);
  }

  /** No other is begun, and those under way are taken back. Resolves when that is so. */
  async stop(): Promise<Rollout> {
    await this.#recovered.promise;
    this.#stop.abort(new PolykernelError('conflict', 'the upgrade of all was stopped'));
    await this.#under;
    return this.get();
  }

  /** Goes on where an earlier daemon was, whose upgrades under way have been taken back. */
  recover(): void {
    const { kept, instances } = this.#options;
    const known = kept.get();
    this.#recovered.resolve();
    if (known?.state !== 'running') return;
    const isToDo = (name: string) => {
      const spec = instances.find(name)?.record.spec;
      return spec !== undefined && !isSo(spec, known.request);
    };
    const left = [...known.under, ...known.left].filter(isToDo);
    this.#go({ ...known, left, under: [] });
  }

  close(): void {
    this.#isClosed = true;
  }

  async #candidates({ atMost: _, ...request }: RolloutRequest, signal: AbortSignal) {
    const { instances, upgrader } = this.#options;
    const [left, skipped, dry]: [string[], Rollout['skipped'], Rollout['done']] = [[], [], []];
    for (const { name, state, record } of instances.list()) {
      if (state !== 'running' || isSo(record.spec, request)) continue;
      try {
        dry.push(await upgrader.upgrade(name, { ...request, dryRun: true }, () => {}, signal));
        left.push(name);
      } catch (error) {
        const { code, field, message } = asPolykernelError(error, 'planning');
        if (code === 'internal' || (code === 'not-found' && field !== 'name')) throw error;
        skipped.push({ name, why: message });
      }
    }
    return { left, skipped, dry };
  }

  #go(rollout: Rollout): void {
    this.#stop = new AbortController();
    this.#under = this.#carryOut(rollout)
      .catch((error) => this.#options.journal.error('upgrading all', error))
      .finally(() => {
        this.#under = undefined;
      });
  }

  async #carryOut(rollout: Rollout): Promise<void> {
    const { upgrader, clock } = this.#options;
    const { atMost = 1, ...request } = rollout.request;
    const { signal } = this.#stop;
    let now = rollout;
    const become = (part: Partial<Rollout>) => {
      if (this.#isEnding) return;
      now = { ...now, ...part };
      this.#options.kept.put(now);
    };
    const worker = async () => {
      for (;;) {
        const [name, ...left] = now.left;
        if (name === undefined || now.failure !== null || signal.aborted || this.#isEnding) return;
        become({ left, under: [...now.under, name] });
        const others = () => now.under.filter((each) => each !== name);
        try {
          const report = await upgrader.upgrade(name, request, (text) => this.#say(`${name}: ${text}`), signal);
          become({ under: others(), done: [...now.done, report] });
        } catch (error) {
          const failure = { name, error: asPolykernelError(error, `upgrading ${name}`).toJSON() };
          become({
            under: others(),
            ...(signal.aborted ? { left: [name, ...now.left] } : { failure: now.failure ?? failure }),
          });
        }
      }
    };
    await Promise.all(Array.from({ length: atMost }, worker));
    const state = now.failure !== null ? 'failed' : now.left.length > 0 ? 'stopped' : 'done';
    become({ state, endedAt: timestamp(clock) });
  }

  /** What is under way is then the next daemon's. */
  get #isEnding(): boolean {
    return this.#isClosed || this.#options.steps.isClosed;
  }

  #say(text: string): void {
    for (const follower of this.#followers) follower(text);
  }

  async #follow(say: Say, signal: AbortSignal): Promise<Rollout> {
    this.#followers.add(say);
    const gone = Promise.withResolvers<never>();
    const leave = () => gone.reject(signal.reason);
    signal.addEventListener('abort', leave, { once: true });
    try {
      signal.throwIfAborted();
      await Promise.race([this.#under, gone.promise]);
      // Its steps end before those that wait for it are told.
      signal.throwIfAborted();
      return this.get();
    } finally {
      this.#followers.delete(say);
      signal.removeEventListener('abort', leave);
    }
  }
}

const isSo = (spec: InstanceSpec, { image = spec.image, root = spec.root }: RolloutRequest): boolean =>
  spec.image === image && spec.root === root;

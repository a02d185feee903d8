/** Carries out steps, whoever planned them, and takes up what a crash cut off. */
import { PolykernelError } from '../sys/errors.ts';
import { Claims } from './claims.ts';
import type { Journal } from './journal.ts';
import type { Mutex } from './mutex.ts';
import { type AnyStep, type BareStep, byPhase, type Executor, type Executors, thingsOf } from './step.ts';
import { type Failure, stepError, takenBack } from './step-errors.ts';
import { BatchJournal, type OnFailure, type StepRecord, type StepTable } from './step-journal.ts';

/** Steps of one kind and phase that are carried out at once. */
const AT_ONCE = 8;

export interface SubmitOptions {
  /** Told each step as it is begun. */
  progress?(text: string): void;
  /** No step is begun after it, and those that can be are given up. */
  signal?: AbortSignal;
  /** `keep`, the default: what was done stays. `undo`: it is taken back, also after a crash, so that it is all or nothing. */
  onFailure?: OnFailure;
  /** While another batch acts on one of the same things. Default `wait`. */
  whenBusy?: 'wait' | 'refuse';
}

export interface PlannedOptions extends Omit<SubmitOptions, 'whenBusy'> {
  /** Of planning on the whole machine. */
  mutex: Mutex;
  /** What the plan is about, whatever its steps: nothing else is under way on these before it is made, nor until it is carried out. */
  things?: readonly string[];
}

/** Steps that somebody carries out now. */
interface UnderWay {
  steps: readonly AnyStep[];
  over: Promise<void>;
}

export interface StepsOptions<S extends AnyStep> {
  executors: Executors<S>;
  table: StepTable;
  journal: Journal;
}

/**
 * INVARIANTS
 * - A step is in the table, with what takes it back, before it is begun, and until its batch is over.
 * - No two batches act on one thing at once: neither two submitted ones, nor one and recover().
 * - A batch costs one write for each run of steps that go at once, and one more; nothing else of the machine is looked at.
 */
export class Steps<S extends AnyStep> {
  readonly #executors: Readonly<Record<string, Executor<BareStep>>>;
  readonly #table: StepTable;
  readonly #journal: Journal;
  readonly #claims = new Claims();
  readonly #underWay = new Set<UnderWay>();
  readonly #recovered = Promise.withResolvers<void>();
  readonly #ending = new AbortController();

  constructor({ executors, table, journal }: StepsOptions<S>) {
    // Steps reach the executor of their own kind alone.
    this.#executors = executors as unknown as Readonly<Record<string, Executor<BareStep>>>;
    this.#table = table;
    this.#journal = journal;
  }

  /**
   * Carries out `steps` by their phases; of those of one kind beside each other several go at once. Rejects with the first
   * failure, after those that went beside it, with `conflict` when it is to be refused, and with the signal's reason.
   */
  async submit(steps: readonly S[], options: SubmitOptions = {}): Promise<void> {
    if (steps.length === 0) return;
    const giveBack = await this.#claims.take(thingsOf(steps), options.whenBusy ?? 'wait', this.#signal(options));
    await this.#batch(steps, options, giveBack);
  }

  /** All that is being carried out or taken up, with what takes it back: whoever plans leaves alone what these give to somebody. */
  get underWay(): BareStep[] {
    return withUndo([...this.#underWay].flatMap(({ steps }) => steps));
  }

  /** Resolves once recover() has. */
  get recovered(): Promise<void> {
    return this.#recovered.promise;
  }

  /** Has `work` done while nobody acts on `things`. */
  async holding<T>(things: readonly string[], work: () => Promise<T>): Promise<T> {
    const giveBack = await this.#claims.take(things, 'wait', this.#ending.signal);
    try {
      return await work();
    } finally {
      giveBack();
    }
  }

  /**
   * Carries out what `plan` makes of the machine, and resolves with it; rejects as submit(). Under `mutex` nobody else plans, and
   * nothing is under way on what the plan is about: else it is made anew once that has ended. So it is where `plan` fails for what is
   * under way alone. Its steps wait for guests, which may be mute: others plan and act meanwhile.
   */
  async planned<P extends { steps: readonly S[] }>(
    plan: (underWay: readonly BareStep[]) => Promise<P>,
    { mutex, ...options }: PlannedOptions,
  ): Promise<P> {
    const { progress = () => {} } = options;
    const signal = this.#signal(options);
    if (mutex.busy) progress('waiting for another change of the machine to end');
    for (;;) {
      const outcome = await mutex.run(async () => {
        signal.throwIfAborted();
        return await this.#plan(plan, options);
      });
      if ('made' in outcome) {
        await outcome.done;
        return outcome.made;
      }
      progress('waiting for what is under way on the same');
      await outcome.wait(signal);
    }
  }

  /** What was made, and is begun; else what it has to wait for. */
  async #plan<P extends { steps: readonly S[] }>(
    plan: (underWay: readonly BareStep[]) => Promise<P>,
    { things = [], ...options }: Omit<PlannedOptions, 'mutex'>,
  ): Promise<{ made: P; done: Promise<void> } | { wait: (signal: AbortSignal) => Promise<unknown> }> {
    const free = (wanted: readonly string[]) => async (signal: AbortSignal) =>
      (await this.#claims.take(wanted, 'wait', signal))();
    if (!this.#claims.areFree(things)) return { wait: free(things) };
    const others = [...this.#underWay];
    const made = await planBeside(plan, withUndo(others.flatMap(({ steps }) => steps)));
    if (made === undefined) return { wait: (signal) => firstOf(others, signal) };
    const steps = made.steps.map((step) => ({ ...step, also: [...(step.also ?? []), ...things] }));
    const wanted = [...things, ...thingsOf(steps)];
    const seen = [...wanted, ...steps.flatMap(({ uses = [] }) => uses)];
    // What was looked at while it changed may be another thing now.
    const changing = new Set(others.flatMap(({ steps }) => thingsOf(steps)));
    const isStale = seen.some((thing) => changing.has(thing)) || !this.#claims.areFree(seen);
    const giveBack = isStale ? undefined : this.#claims.tryTake(wanted);
    if (giveBack === undefined) return { wait: free(seen) };
    const done = this.#batch(steps, options, giveBack);
    done.catch(() => {});
    return { made, done };
  }

  #signal({ signal }: SubmitOptions): AbortSignal {
    const ending = this.#ending.signal;
    return signal === undefined ? ending : AbortSignal.any([signal, ending]);
  }

  /** `giveBack`: what nobody else acts on until then. */
  async #batch(steps: readonly S[], options: SubmitOptions, giveBack: () => void): Promise<void> {
    const { onFailure = 'keep', progress = () => {} } = options;
    const ending = this.#ending.signal;
    const signal = this.#signal(options);
    const batch = new BatchJournal(this.#table, onFailure);
    const end = this.#begin(steps);
    try {
      await this.#carryOut(byPhase(steps), batch, progress, signal);
    } catch (error) {
      if (onFailure === 'keep' || ending.aborted) throw error;
      throw takenBack(error, await this.#takeBack(batch.steps, ending));
    } finally {
      this.#end(() => batch.end());
      giveBack();
      end();
    }
  }

  /** They are under way until what it gives is called. */
  #begin(steps: readonly AnyStep[]): () => void {
    const { promise: over, resolve } = Promise.withResolvers<void>();
    const entry = { steps, over };
    this.#underWay.add(entry);
    return () => {
      this.#underWay.delete(entry);
      resolve();
    };
  }

  /**
   * Completes, or takes back, what an earlier daemon had begun; others wait who would act on the same, from the call on. What cannot
   * be is told in the journal and forgotten: the next plan sees it. Never rejects but for a table that cannot be read.
   */
  async recover(): Promise<void> {
    try {
      await this.#takeUpAll();
    } finally {
      this.#recovered.resolve();
    }
  }

  async #takeUpAll(): Promise<void> {
    const records = this.#table.all((id, _, error) =>
      this.#journal.error(`the record of the step ${id} cannot be read and is ignored`, error),
    );
    // Beside each other, as they were: one waits for guests that are none of the others' business.
    const batches = [...Map.groupBy(records, (record) => record.batch).values()];
    await Promise.all(batches.map((batch) => this.#takeUpBatch(batch)));
  }

  async #takeUpBatch(batch: readonly StepRecord[]): Promise<void> {
    const ending = this.#ending.signal;
    const steps = batch.map(({ step }) => step);
    const end = this.#begin(steps);
    try {
      const giveBack = await this.#claims.take(thingsOf(steps), 'wait', ending);
      await this.#takeUp(batch, ending).finally(giveBack);
      this.#end(() =>
        this.#table.change(
          [],
          batch.map(({ id }) => id),
        ),
      );
    } finally {
      end();
    }
  }

  /** Whether close() was called: what fails from then on has not failed for good. */
  get isClosed(): boolean {
    return this.#ending.signal.aborted;
  }

  /** Begins no step any more, and writes nothing: what is under way is left to the next daemon. */
  close(): void {
    this.#ending.abort(new PolykernelError('unavailable', 'the daemon is ending', { hint: 'Try again.' }));
  }

  async #carryOut(
    steps: readonly AnyStep[],
    batch: BatchJournal,
    progress: (text: string) => void,
    signal: AbortSignal,
  ): Promise<void> {
    for (let first = 0; first < steps.length; ) {
      signal.throwIfAborted();
      let last = first + 1;
      while (last < steps.length && last - first < AT_ONCE && goBeside(steps[first]!, steps[last]!)) last += 1;
      const group = steps.slice(first, last);
      for (const [index, { text }] of group.entries()) progress(`[${first + index + 1}/${steps.length}] ${text}`);
      const failed = await this.#group(group, batch, signal);
      if (failed[0] !== undefined) {
        signal.throwIfAborted();
        throw stepError(failed, steps.length - last, batch.onFailure);
      }
      first = last;
    }
  }

  async #group(group: readonly AnyStep[], batch: BatchJournal, signal: AbortSignal): Promise<Failure[]> {
    const refused = await each(group, async (step) => this.#executor(step).check(step));
    const able = group.filter((step) => !refused.some((failure) => failure.step === step));
    if (able.length > 0) {
      signal.throwIfAborted();
      batch.begin(able);
      refused.push(...(await each(able, (step) => this.#run(step, signal))));
    }
    return group.flatMap((step) => refused.find((failure) => failure.step === step) ?? []);
  }

  async #run(step: BareStep, signal: AbortSignal): Promise<void> {
    const executor = this.#executor(step);
    if ((await executor.run(step, signal)) === true || (await executor.verify(step))) return;
    throw new PolykernelError('internal', 'it was carried out, but what is read back is something else', {
      hint: 'Somebody else may have changed it meanwhile. Run the command again to go on from there.',
    });
  }

  #executor({ kind }: BareStep): Executor<BareStep> {
    const executor = this.#executors[kind];
    if (executor !== undefined) return executor;
    throw new PolykernelError('unsupported', `this version knows no step ${kind}`);
  }

  async #takeUp(batch: readonly StepRecord[], signal: AbortSignal): Promise<void> {
    if (batch[0]!.onFailure === 'undo')
      return void (await this.#takeBack(
        batch.map(({ step }) => step),
        signal,
      ));
    const back: AnyStep[] = [];
    for (const { step, state } of batch) {
      if (this.#executors[step.kind]?.afterCrash === 'undo') back.push(step);
      else if (state === 'begun' && !(await this.#complete(step, signal))) back.push(step);
    }
    await this.#takeBack(back, signal);
  }

  /** One that was cut off. Resolves with whether it is as it was to be. */
  async #complete(step: AnyStep, signal: AbortSignal): Promise<boolean> {
    const what = `${step.text}, which was under way when the daemon ended,`;
    try {
      const isDone = await this.#executor(step).verify(step);
      if (!isDone) await this.#run(step, signal);
      this.#journal.info(`${what} ${isDone ? 'was done' : 'is done now'}`);
      return true;
    } catch (error) {
      if (!signal.aborted) this.#journal.error(`${what} cannot be completed`, error);
      return false;
    }
  }

  /** Steps that were begun, in the order of the phases of what takes them back. Resolves with what could not be. */
  async #takeBack(steps: readonly AnyStep[], signal: AbortSignal): Promise<Failure[]> {
    const failed: Failure[] = [];
    const back = new Map(steps.flatMap((step) => (step.undo === null ? [] : [[step.undo, step] as const])));
    for (const undo of byPhase([...back.keys()].reverse())) {
      if (signal.aborted) break;
      const step = back.get(undo)!;
      try {
        if (await this.#executor(undo).verify(undo)) continue;
        await this.#run(undo, signal);
        this.#journal.info(`${step.text} was taken back: ${undo.text}`);
      } catch (error) {
        this.#journal.error(`taking back: ${step.text}`, error);
        failed.push({ step, error });
      }
    }
    for (const step of steps) {
      if (step.undo !== null) continue;
      this.#journal.info(`${step.text} cannot be taken back`);
      failed.push({ step, error: new Error('nothing takes it back') });
    }
    return failed;
  }

  /** What cannot be forgotten now is looked at again by the next daemon. */
  #end(write: () => void): void {
    if (this.#ending.signal.aborted) return;
    try {
      write();
    } catch (error) {
      this.#journal.error('forgetting steps that are over', error);
    }
  }
}

/** One thing may be acted on in several phases by steps of one kind. */
const goBeside = (one: AnyStep, other: AnyStep): boolean => one.kind === other.kind && one.phase === other.phase;

const withUndo = (steps: readonly AnyStep[]): BareStep[] =>
  steps.flatMap((step) => (step.undo === null ? [step] : [step, step.undo]));

/** What `plan` makes beside what is under way; undefined when it fails for that alone. Rejects with what speaks against it in any case. */
async function planBeside<P>(
  plan: (underWay: readonly BareStep[]) => Promise<P>,
  underWay: readonly BareStep[],
): Promise<P | undefined> {
  try {
    return await plan(underWay);
  } catch (error) {
    if (underWay.length === 0) throw error;
    await plan([]);
    return undefined;
  }
}

/** Resolves when the first of them is over; rejects with the signal's reason. */
async function firstOf(all: readonly UnderWay[], signal: AbortSignal): Promise<void> {
  const { promise: stopped, reject } = Promise.withResolvers<never>();
  const stop = () => reject(signal.reason);
  if (signal.aborted) stop();
  signal.addEventListener('abort', stop, { once: true });
  try {
    await Promise.race([stopped, ...all.map(({ over }) => over)]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

async function each(steps: readonly AnyStep[], action: (step: AnyStep) => Promise<void>): Promise<Failure[]> {
  const results = await Promise.allSettled(steps.map((step) => action(step)));
  return results.flatMap((result, index) =>
    result.status === 'rejected' ? [{ step: steps[index]!, error: result.reason as unknown }] : [],
  );
}

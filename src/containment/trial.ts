/** One trial: probes in all kernels, quiet, the fault in one, healing, quiet again, and what was seen of it. */
import type { DaemonEvent, EventLog } from '../core/events.ts';
import type { Instance } from '../instance/contract.ts';
import { type Clock, timestamp } from '../sys/clock.ts';
import { asPolykernelError, PolykernelError } from '../sys/errors.ts';
import { endedBefore } from './ended-before.ts';
import { FAULTS, type Fault, type FaultName } from './faults.ts';
import { doneMs, figuresOf, seriesOf } from './figures.ts';
import { heal } from './heal.ts';
import { interrupted, Probe, parse, TrialProgram } from './probe.ts';
import { type KernelReport, PHASES, type TrialReport } from './types.ts';
import { verdictOf } from './verdict.ts';

/** How long the fault, and what is told of it, are waited for beyond the window. */
const PATIENCE_MS = 120_000;
/** Silence of the victim that counts as such. */
const SILENCE_MS = 2_000;
/** Of a neighbour, so many requests are waited for under the fault and after it. */
const LEAST_REQUESTS = 10;
const LOOK_MS = 20;
/** Nothing of a trial runs longer in a guest than its parts and these. */
const SPARE_SECONDS = 60;
const LOSSES: ReadonlySet<string> = new Set(['crashed', 'exited', 'stopping', 'health-lost']);

export interface Subject {
  /** As it was asked for. */
  name: string;
  instance: Instance;
  /** A file on a disk of this machine, as its kernel sees it. */
  disk?: string | undefined;
}

export interface TrialOptions {
  victim: Subject;
  neighbours: readonly Subject[];
  fault: FaultName;
  live: boolean;
  windowMs: number;
  notes: readonly string[];
  events: Pick<EventLog, 'listen'>;
  clock: Clock;
  progress(text: string): void;
  signal: AbortSignal;
  /** Whether instances are still this daemon's to act on. */
  mayTouch(): boolean;
  complain(doing: string, error: unknown): void;
}

/** A kernel that is looked at. */
interface Watched extends Subject {
  probe: Probe;
  bootId: string | null;
  startedAt: string | null;
  /** What its agent had said, when each part began, and at the end. */
  heard: number[];
}

type Told = DaemonEvent & { ms: number };

/** INVARIANT: whatever becomes of it, no program of it is left in a kernel that runs on, and no instance as the fault left it. */
export class Trial {
  readonly #options: TrialOptions;
  readonly #fault: Fault;
  readonly #victim: Watched;
  readonly #neighbours: readonly Watched[];
  readonly #told: Told[] = [];
  #program: TrialProgram | undefined;
  #work = 0;
  #faultMs = Number.POSITIVE_INFINITY;
  #lastHeard = { count: 0, ms: 0 };
  #longestSilenceMs = 0;
  #isHealed = false;

  constructor(options: TrialOptions) {
    this.#options = options;
    this.#fault = FAULTS[options.fault];
    this.#victim = watched(options.victim);
    this.#neighbours = options.neighbours.map(watched);
  }

  /** Rejects with `not-ready` or `kernel-died` when probes or fault could not begin, `unavailable` when it was interrupted. */
  async run(): Promise<TrialReport> {
    const { clock, events, progress, windowMs, fault, victim } = this.#options;
    const at = timestamp(clock);
    const all = [this.#victim, ...this.#neighbours];
    const stopListening = events.listen((event) => this.#hear(event));
    try {
      progress('starting probes');
      await this.#beforeFault(() => Promise.all(all.map((each) => this.#probe(each))));
      const quietMs = this.#mark();
      progress(`quiet for ${windowMs} ms`);
      await this.#pause(windowMs);
      await this.#until(quietMs + windowMs + PATIENCE_MS, () => this.#haveWorked(quietMs));
      for (const each of all) if (each.instance.state !== 'running') throw endedBefore(each);
      const program = await this.#beforeFault(() => this.#prepare());
      progress(`${fault} in ${victim.name}`);
      this.#faultMs = this.#mark();
      this.#lastHeard = { count: this.#victim.instance.heard, ms: this.#faultMs };
      program.go();
      await this.#until(this.#faultMs + windowMs + PATIENCE_MS, () => this.#hasShown());
      const seen = { tookHold: this.#tookHold(), told: this.#asTold(), complaint: program.complaint };
      const healMs = this.#mark();
      progress(`healing ${victim.name}`);
      const { healed, notHealed } = await this.#heal();
      const healedMs = this.#mark();
      progress(`quiet for ${windowMs} ms`);
      await this.#pause(windowMs);
      await this.#until(healedMs + windowMs + PATIENCE_MS, () => this.#haveWorked(healedMs));
      const endMs = this.#mark();
      for (const { probe } of all) probe.close();
      const marks = [quietMs, this.#faultMs, healMs, healedMs, endMs] as const;
      const { verdict, findings } = verdictOf({
        ...{ ...seen, fault, healed, notHealed, victim: victim.name },
        neighbours: this.#neighbours.map((each) => ({
          report: this.#report(each, 'neighbour', marks),
          starts: each.instance.status.startedAt === each.startedAt ? 0 : 1,
          losses: this.#of(each)
            .filter(({ type, ms }) => LOSSES.has(type) && ms >= this.#faultMs)
            .map(({ type, message }) => `${type}: ${message}`),
          brokeOff: each.probe.brokeOff,
        })),
      });
      const since = (ms: number) => Math.round(ms - quietMs);
      return {
        ...{ at, fault, live: this.#options.live, verdict, healed: healed !== undefined, findings },
        kernels: [
          this.#report(this.#victim, 'victim', marks),
          ...this.#neighbours.map((each) => this.#report(each, 'neighbour', marks)),
        ],
        events: all.flatMap((each) =>
          this.#of(each).map(({ ms, type, message }) => ({ ms: since(ms), type, name: each.name, message })),
        ),
        marks: { faultMs: since(this.#faultMs), healMs: since(healMs), healedMs: since(healedMs), endMs: since(endMs) },
        work: this.#fault.unit === null ? null : { done: this.#work, unit: this.#fault.unit },
        notes: this.#options.notes,
      };
    } finally {
      stopListening();
      this.#program?.close();
      for (const { probe } of all) probe.close();
      await this.#putRight();
    }
  }

  /** One that was cut off leaves no instance harmed; clones are removed anyway. */
  async #putRight(): Promise<void> {
    const { live, mayTouch, complain } = this.#options;
    const isHarmed = Number.isFinite(this.#faultMs) && !this.#isHealed;
    if (!live || !isHarmed || !mayTouch()) return;
    await heal(this.#victim.instance, new AbortController().signal).catch((error) =>
      complain(`healing ${this.#victim.name} after a trial`, error),
    );
  }

  /** The daemon's own words on one of its kernels. */
  #of({ instance }: Watched): Told[] {
    return this.#told.filter(({ id }) => id === instance.record.id);
  }

  #hear(event: DaemonEvent): void {
    this.#told.push({ ...event, ms: performance.now() });
  }

  async #probe({ probe, instance, name, disk }: Watched): Promise<void> {
    const seconds = Math.ceil((3 * (this.#options.windowMs + PATIENCE_MS)) / 1000) + SPARE_SECONDS;
    // A clone does not outlive its trial for long, whatever becomes of the daemon.
    await probe.start(
      await instance.guest(),
      name,
      { seconds, disk, halts: !this.#options.live },
      this.#options.signal,
    );
  }

  /** What does not work because one of the kernels ended meanwhile says so: its line may be lost before its state is another one. */
  async #beforeFault<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof PolykernelError) || error.code !== 'kernel-died') throw error;
      const ended = () => [this.#victim, ...this.#neighbours].find(({ instance }) => instance.state !== 'running');
      await this.#until(performance.now() + PATIENCE_MS, () => ended() !== undefined);
      const first = ended();
      throw first === undefined ? error : endedBefore(first);
    }
  }

  /** A part begins, or the last one ends. */
  #mark(): number {
    for (const each of [this.#victim, ...this.#neighbours]) each.heard.push(each.instance.heard);
    return performance.now();
  }

  async #prepare(): Promise<TrialProgram> {
    const { fault, windowMs, neighbours, signal } = this.#options;
    const { instance, name, disk } = this.#victim;
    const targets =
      this.#fault.needs === 'network' ? neighbours.flatMap((each) => each.instance.status.address ?? []) : [];
    const seconds = Math.ceil((windowMs + PATIENCE_MS) / 1000) + SPARE_SECONDS;
    const args = ['fault', fault, String(seconds), ...(disk === undefined ? [] : [disk]), ...targets];
    this.#program = await TrialProgram.start(await instance.guest(), name, args, signal, (line) => {
      const [kind, , done] = parse(line);
      if (kind === 'w' && done !== undefined) this.#work = done;
    });
    return this.#program;
  }

  /** Whether all neighbours have done something since then, or never will. */
  #haveWorked(sinceMs: number): boolean {
    return this.#neighbours.every(
      ({ probe, instance }) =>
        probe.hasEnded ||
        instance.state !== 'running' ||
        probe.samples.filter((sample) => doneMs(sample) >= sinceMs).length >= LEAST_REQUESTS,
    );
  }

  /** Whether the window is over, the fault has taken hold and was told, and the neighbours have worked under it. */
  #hasShown(): boolean {
    const { windowMs } = this.#options;
    const now = performance.now();
    const count = this.#victim.instance.heard;
    if (count !== this.#lastHeard.count) this.#lastHeard = { count, ms: now };
    this.#longestSilenceMs = Math.max(this.#longestSilenceMs, now - this.#lastHeard.ms);
    const isTold = this.#fault.told === null || this.#asTold() !== undefined;
    const isShown = (this.#tookHold() !== undefined && isTold) || this.#program?.complaint !== '';
    return now - this.#faultMs >= windowMs && isShown && this.#haveWorked(this.#faultMs);
  }

  #tookHold(): string | undefined {
    const { least, unit, silences, told } = this.#fault;
    const end = this.#of(this.#victim).find(({ type, ms }) => type === 'crashed' && ms >= this.#faultMs);
    if (end !== undefined && (silences || told === 'crashed')) return end.message;
    if (this.#work >= least) return `${this.#work} ${unit}`;
    if (silences && this.#longestSilenceMs >= SILENCE_MS)
      return `its kernel said nothing for ${(this.#longestSilenceMs / 1000).toFixed(1)} s`;
    return undefined;
  }

  /** The first loss of the victim that was told after the fault. */
  #asTold(): { what: string; afterMs: number } | undefined {
    const losses = this.#of(this.#victim).filter(({ type, ms }) => LOSSES.has(type) && ms >= this.#faultMs);
    const [first] = losses;
    if (first === undefined) return undefined;
    const { exit } = this.#victim.instance.record.machine;
    const hasCrashed = losses.some(({ type }) => type === 'crashed');
    const what = hasCrashed && exit !== null ? exit.reason : first.message || first.type;
    return { what, afterMs: first.ms - this.#faultMs };
  }

  async #heal() {
    const began = performance.now();
    try {
      const how = await heal(this.#victim.instance, this.#options.signal);
      const tookMs = performance.now() - began;
      this.#isHealed = true;
      this.#victim.probe.close();
      await this.#probe(this.#victim);
      return { healed: { tookMs, how }, notHealed: '' };
    } catch (error) {
      if (this.#options.signal.aborted) throw error;
      return { healed: undefined, notHealed: asPolykernelError(error, 'healing').message };
    }
  }

  #report(
    each: Watched,
    role: KernelReport['role'],
    marks: readonly [number, number, number, number, number],
  ): KernelReport {
    const { name, instance, probe, bootId, heard } = each;
    const figures = PHASES.map((phase, index) => {
      const said = heard[index + 1]! - heard[index]!;
      return [phase, figuresOf(probe.samples, marks[index]!, marks[index + 1]!, said)] as const;
    });
    return {
      ...{ name, instance: instance.name, role, driver: instance.record.spec.driver },
      ...{ bootIdBefore: bootId, bootIdAfter: instance.state === 'running' ? instance.record.bootId : null },
      clockMs: probe.clocks.length === 0 ? null : Math.max(...probe.clocks.map(Math.abs)),
      ...(Object.fromEntries(figures) as Pick<KernelReport, (typeof PHASES)[number]>),
      series: seriesOf(probe.samples, marks[0], marks[4]),
    };
  }

  #pause(milliseconds: number): Promise<void> {
    const end = performance.now() + milliseconds;
    return this.#until(end, () => performance.now() >= end);
  }

  /** Until it is so, or too late. */
  async #until(deadlineMs: number, isSo: () => boolean): Promise<void> {
    const { signal, clock } = this.#options;
    while (!isSo() && performance.now() < deadlineMs) {
      if (signal.aborted) throw interrupted();
      await new Promise<void>((resolve) => clock.after(LOOK_MS, resolve));
    }
  }
}

function watched(subject: Subject): Watched {
  const { bootId, startedAt } = subject.instance.status;
  return { ...subject, probe: new Probe(), bootId, startedAt, heard: [] };
}

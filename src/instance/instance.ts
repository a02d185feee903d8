/** One instance, as others see it: what can be asked of it, and when that has been done. */
import type { Duplex } from 'node:stream';
import { Mutex } from '../core/mutex.ts';
import type { Driver, Kernel, KernelSize, MemorySource, RealPlacement } from '../driver/index.ts';
import type { ExecRequest, GuestLink, GuestProcess } from '../guest/index.ts';
import { PolykernelError } from '../sys/errors.ts';
import type { Carried } from './carried.ts';
import type { InstanceEnvironment } from './environment.ts';
import { healedExit, killedExit, stoppedExit } from './exits.ts';
import { Foreground } from './foreground.ts';
import { hangUp } from './hang-up.ts';
import { Life, LOST_PATIENCE_MS } from './life.ts';
import type { Watcher } from './output.ts';
import { hostPlacement, misplacementOf, vcpusOfMachine } from './placement.ts';
import { type InstanceRecord, statusOf } from './record.ts';
import { checkPause, conflict, failedStart, notProven, notRunning, notTakenOver } from './refusals.ts';
import type { Run } from './run.ts';
import { kernelSize, machineSize, sizeOf } from './size.ts';
import type { InstanceState, InstanceStatus, Placement } from './spec.ts';

/** What a client waits for meanwhile. */
export const TAKING_OVER = 'waiting for its kernel to answer the new daemon';
/** How long what is asked of its kernel waits for that to be taken over from an earlier daemon, in milliseconds. */
const TAKE_OVER_PATIENCE_MS = 10_000;

/**
 * INVARIANTS
 * - Asks its life to go on and waits for what comes of it; decides nothing of its state.
 * - What is asked of a kernel that an earlier daemon started waits until that has answered this one; only ending it by force, and looking
 *   at what is known, does not.
 */
export class Instance {
  readonly #life: Life;
  /** Of what moves the threads of its kernel, for whatever reason. */
  readonly #moving = new Mutex();
  /** Of the CPUs that are recorded as its own those it is kept to, while it gives the others away. */
  #left: { owned: Placement; vcpuCpus: readonly number[] } | undefined;
  #shown: { record: InstanceRecord; pid: number | null; isTakingOver: boolean; status: InstanceStatus } | undefined;

  constructor(record: InstanceRecord, environment: InstanceEnvironment) {
    this.#life = new Life(record, environment);
  }

  get record(): InstanceRecord {
    return this.#life.record;
  }
  /** What the supervisor has decided and stored. What runs is not touched: see repin. */
  replaceRecord(record: InstanceRecord): void {
    this.#life.replaceRecord(record);
  }
  get name(): string {
    return this.#life.name;
  }
  get state(): InstanceState {
    return this.#life.state;
  }
  /** The same one again until something changes: it is looked at several times a second. */
  get status(): InstanceStatus {
    const { record, isTakingOver } = this;
    const { run } = this.#life;
    const pid = run?.kernel?.pid || run?.takingOver?.pid || null;
    const shown = this.#shown;
    if (shown?.record === record && shown.pid === pid && shown.isTakingOver === isTakingOver) return shown.status;
    const status = statusOf(record, pid, isTakingOver);
    this.#shown = { record, pid, isTakingOver, status };
    return status;
  }
  get driver(): Driver {
    return this.#life.environment.driver;
  }
  /** That a foreground instance has, or had. */
  get client(): Foreground | undefined {
    return this.#life.foreground;
  }
  /** Whether a kernel runs or is about to, so that it cannot be removed. */
  get active(): boolean {
    return !['created', 'exited', 'backoff'].includes(this.state);
  }

  /** Begins a start; `settled` tells how it went. Throws `conflict`. */
  begin(): void {
    this.#life.dispatch({ type: 'start' });
  }

  /**
   * Resolves once its workload was executed; rejects with what kept it from that: `not-ready`, `panic`, `kernel-died`,
   * `not-executed`, `no-command` or `internal`. Throws `conflict` if it runs already.
   */
  async start(signal?: AbortSignal): Promise<void> {
    this.begin();
    await this.#until(() => !this.#isBeginning, signal);
    const { exit, ending } = this.record.machine;
    if (this.state === 'stuck') throw notProven(this.name, ending?.message ?? '');
    if (this.#isUp || exit === null) return;
    const failure = failedStart(this.name, exit);
    // What was executed has started, however it ended.
    if (failure !== undefined && this.record.workingDirectory === null) throw failure;
  }

  /** Whether it is to be seen yet if its workload can be executed. */
  get #isBeginning(): boolean {
    const { state, ending } = this.record.machine;
    if (state === 'stopping') return ending?.reason === 'failed';
    return state === 'starting' || (this.#isUp && this.main?.pid === 0);
  }

  /** Whether its kernel has booted and is not about to end. */
  get #isUp(): boolean {
    return this.#life.isUp;
  }
  /** Whether its kernel is an earlier daemon's, and has not answered this one yet. */
  get isTakingOver(): boolean {
    return this.#life.isTakingOver;
  }

  /** Resolves once that is over, however it ended. Rejects with `unavailable` when it takes too long, and with the signal's reason. */
  async takenOver(signal?: AbortSignal): Promise<void> {
    if (!this.isTakingOver) return;
    const patience = new AbortController();
    const cancel = this.#life.environment.clock.after(TAKE_OVER_PATIENCE_MS, () =>
      patience.abort(notTakenOver(this.name)),
    );
    const over = signal === undefined ? patience.signal : AbortSignal.any([signal, patience.signal]);
    try {
      await this.#until(() => !this.isTakingOver || this.#life.detached, over);
    } finally {
      cancel();
    }
  }

  /** Resolves when it is down; rejects with `conflict` when it is not proven to be. Grace in ms; default that of the spec. */
  async stop(graceMs: number = this.record.spec.stopGraceMs): Promise<void> {
    await this.takenOver();
    this.#life.stopGraceMs = graceMs;
    this.#life.dispatch({ type: 'stop', exit: stoppedExit(this.#life.now) });
    await this.untilDown();
  }

  /** Kills the kernel; resolves when it is gone. Throws `conflict` when none runs, or when it is not proven to be gone. */
  async kill(message = 'killed on request'): Promise<void> {
    this.#life.dispatch({ type: 'kill', exit: killedExit(message, this.#life.now) });
    await this.untilDown();
  }

  /** Ends its kernel, which is not well, so that it is started again as its policy says; resolves when it is gone. Throws `conflict` unless it runs. */
  async heal(reason: 'hung' | 'unhealthy', message: string): Promise<void> {
    const how = reason === 'hung' ? 'kill' : 'stop';
    this.#life.stopGraceMs = this.record.spec.stopGraceMs;
    this.#life.dispatch({ type: 'heal', exit: healedExit(reason, message, this.#life.now), how });
    await this.untilDown();
  }

  /** Rejects with `conflict` when its kernel was ended and is not proven to be gone. */
  async untilDown(signal?: AbortSignal): Promise<void> {
    await this.#until(() => !this.active || this.state === 'stuck', signal);
    if (this.state === 'stuck') throw notProven(this.name, this.record.machine.ending?.message ?? '');
  }

  /** Whether it has waited long enough for its restart: a timer's word, for the time of day is set anew at times, and a timer may be a millisecond early by it. */
  get isRestartDue(): boolean {
    return this.#life.isRestartDue;
  }

  /** Begins the restart that it waits for. Nothing happens when it waits for none. */
  restart(): void {
    this.#life.dispatch({ type: 'restart-due' });
  }

  /** Sends a signal to the workload. Rejects with `conflict` when none runs. */
  async signal(number: number): Promise<void> {
    await this.takenOver();
    const { main } = this;
    if (main === undefined || this.state !== 'running')
      throw conflict(this.name, 'runs no workload that could get a signal');
    main.signal(number);
  }

  /**
   * Throws `conflict` unless it runs, `unsupported` when its driver cannot. `briefly`: for work of this daemon, which lets it go on; should
   * that not live to do so, the next one does.
   */
  async pause(briefly = false): Promise<void> {
    checkPause(this.driver);
    await this.takenOver();
    const run = this.#asked('pause');
    await run.call('pause');
    if (this.#life.run === run) this.#life.paused(briefly);
  }

  /** Throws `conflict` unless it is paused. */
  async resume(): Promise<void> {
    await this.takenOver();
    const run = this.#asked('resume');
    await run.call('resume');
    if (run.kernel !== undefined) await this.#life.environment.resumed(run.kernel);
    if (this.#life.run === run) this.#life.dispatch({ type: 'resumed' });
  }

  /** The run that is to do so. Throws `conflict` where none can: of an instance that is being removed nothing is refused by its state. */
  #asked(verb: 'pause' | 'resume'): Run {
    this.#life.dispatch({ type: verb });
    const { run } = this.#life;
    if (run === undefined) throw conflict(this.name, `has ended and cannot be ${verb}d`);
    return run;
  }

  /** Resolves once the instance is down and no restart is due. */
  async ended(signal?: AbortSignal): Promise<void> {
    await this.#until(() => this.state === 'exited' || this.#life.detached, signal);
  }

  /** Resolves once the end of the kernel or of its workload is recorded, if one of them is about to end. */
  async settled(): Promise<void> {
    const { run, environment } = this.#life;
    const patience = new AbortController();
    const cancel = environment.clock.after(LOST_PATIENCE_MS, () => patience.abort());
    await this.#until(() => this.#life.run !== run || !this.#isUp || this.#life.detached, patience.signal).catch(
      () => {},
    );
    cancel();
  }

  #until(condition: () => boolean, signal?: AbortSignal): Promise<void> {
    return this.#life.changes.until(condition, signal);
  }

  /** A further process in the guest. Rejects with `conflict` unless running. */
  async exec(request: ExecRequest): Promise<GuestProcess> {
    return (await this.#guest('run a command')).exec(request);
  }
  /** One that an earlier daemon has moved to this one. Rejects with `conflict` unless running, `not-found` when there is none. */
  async goOn(session: number): Promise<GuestProcess> {
    return (await this.#guest('go on with a command')).adopt(session);
  }
  /** It goes on with the next daemon, when this one ends in good order. Returns what ends that. */
  carry(carried: Carried): () => void {
    const { run } = this.#life;
    run?.carried.add(carried);
    return () => run?.carried.delete(carried);
  }
  /** For files. Rejects with `conflict` unless running. */
  guest(): Promise<GuestLink> {
    return this.#guest('transfer a file');
  }
  async #guest(purpose: string): Promise<GuestLink> {
    await this.takenOver();
    const kernel = this.#life.run?.kernel;
    if (kernel !== undefined && this.state === 'running') return kernel.guest;
    throw notRunning(this.name, this.state, this.active, purpose);
  }
  /** What was heard of its agent so far; 0 while none is there. */
  get heard(): number {
    return this.state === 'running' ? (this.#life.run?.kernel?.guest.heard ?? 0) : 0;
  }
  async console(): Promise<Duplex> {
    await this.takenOver();
    const kernel = this.#life.run?.kernel;
    if (kernel === undefined) throw conflict(this.name, 'has no running kernel, so no console');
    return kernel.console();
  }

  /**
   * Takes the place of the client of a foreground instance, for one with a `session` goes on with that of an earlier daemon. Throws `conflict`
   * when it is taken, `not-found` when there is no such session.
   */
  attachForeground(onPhase: (text: string) => void, session: number | null = null): Foreground {
    if (session !== null && session !== this.record.session)
      throw new PolykernelError('not-found', `${this.name} has no session ${session} to go on with`);
    if (this.client !== undefined) throw conflict(this.name, 'has a client attached already');
    const foreground = new Foreground(onPhase, () => this.#clientLeft());
    if (this.isTakingOver) onPhase(TAKING_OVER);
    this.#life.attach(foreground);
    return foreground;
  }
  /** Its workload may end by itself. Then its kernel ends. */
  #clientLeft(): void {
    const { run, environment } = this.#life;
    const isOver = () => this.#life.run !== run || this.#life.detached || !this.active || this.#life.isEnding;
    if (isOver()) return;
    hangUp(this.main, environment.clock)
      .then(async (hasEnded) => void (hasEnded || isOver() || (await this.kill('the client went away'))))
      .catch((error) => environment.complain(`ending ${this.name}`, error));
  }
  /** Output of a detached workload from now on. Returns what ends the watch. */
  watch(watcher: Watcher): () => void {
    const { watchers } = this.#life;
    watchers.add(watcher);
    return () => watchers.delete(watcher);
  }
  /** The workload of a detached instance, while it runs. */
  get main(): GuestProcess | undefined {
    return this.#life.run?.workload?.main;
  }

  /** Told after every change of state. Returns what ends it. */
  onChange(listener: () => void): () => void {
    return this.#life.changes.listen(listener);
  }

  /**
   * Moves the kernel, if one runs, to the CPUs the record says; without a placement to the housekeeping CPUs. One that is being taken over
   * is moved when it is.
   */
  repin(housekeepingCpus: readonly number[] | undefined): Promise<void> {
    return this.#moving.run(async () => {
      const kernel = this.#liveKernel();
      if (kernel === undefined) return;
      const { spec, size, placement: owned } = this.record;
      const vcpuCpus = this.#left?.owned === owned ? this.#left?.vcpuCpus : undefined;
      const now = owned && vcpuCpus ? { ...owned, vcpuCpus } : owned;
      await kernel.repin(hostPlacement({ spec, size, placement: now }), housekeepingCpus);
      const { launch } = this.record;
      if (launch === null || this.#life.detached) return;
      this.#life.keep({ launch: { ...launch, placement: hostPlacement(this.record), housekeepingCpus } });
    });
  }
  /**
   * Whether its kernel, if one runs, sits where the record says: as it was last told, and as the host kernel says of the CPUs it owns.
   */
  async isInPlace(housekeepingCpus: readonly number[] | undefined): Promise<boolean> {
    const { launch } = this.record;
    if (launch === null || this.#liveKernel() === undefined) return true;
    const told = [launch.placement, launch.housekeepingCpus];
    return same(told, [hostPlacement(this.record), housekeepingCpus]) && (await this.misplaced()) === null;
  }
  /**
   * Has a kernel that has just booted, or was found again, sit where the record says: that may have changed since its start was prepared,
   * and an earlier daemon may have ended before the kernel was told. Asks no guest. Rejects as repin().
   */
  async conform(housekeepingCpus: readonly number[] | undefined): Promise<void> {
    if (!(await this.isInPlace(housekeepingCpus))) await this.repin(housekeepingCpus);
  }
  /**
   * Has a kernel that has just booted be as large as the record says by now. Waits for its guest. The size of one that was found again is
   * the business of the step that changed it. Rejects as resize().
   */
  async takeSize(housekeepingCpus: readonly number[] | undefined): Promise<void> {
    const { launch } = this.record;
    if (launch?.size === undefined || this.#liveKernel() === undefined) return;
    const { cpus, memoryBytes } = launch.size;
    if (!same({ cpus, memoryBytes }, kernelSize(sizeOf(this.record)))) await this.resize(null, housekeepingCpus);
  }
  /**
   * Has its kernel, if one runs, become as large as the record says: what it is to lose goes out within before it is kept, from the
   * host, to `vcpuCpus` (null = it owns none), which takes CPUs alone from a guest that does not let go of them, too; what it gains is its
   * own on the host before it comes in. `part`, and what it resolves and rejects with: as Kernel.resize(); null when none runs.
   */
  async resize(
    vcpuCpus: readonly number[] | null,
    housekeepingCpus: readonly number[] | undefined,
    part?: keyof KernelSize,
  ): Promise<KernelSize | null> {
    await this.takenOver();
    const kernel = this.#liveKernel();
    if (kernel === undefined) return null;
    const { placement } = this.record;
    const size = kernelSize(sizeOf(this.record));
    // One that owns nothing has no CPUs to be kept off.
    const mayBeLess = placement !== null && part !== 'memoryBytes';
    const isLess = mayBeLess && (await this.#cpusOf(kernel)) > size.cpus;
    if (!isLess) this.#left = undefined;
    if (!isLess && placement !== null && !(await this.isInPlace(housekeepingCpus))) await this.repin(housekeepingCpus);
    const isTaken = isLess && vcpuCpus !== null && part === 'cpus' && this.driver.capabilities().cpuMoves === 'all';
    const now = isTaken ? await this.#takeCpus(kernel, size) : await kernel.resize(size, part);
    if (isLess && vcpuCpus !== null) {
      this.#left = { owned: placement, vcpuCpus };
      await this.repin(housekeepingCpus);
    }
    const { launch } = this.record;
    if (launch?.size !== undefined && !this.#life.detached)
      this.#life.keep({ launch: { ...launch, size: { ...launch.size, ...size } } });
    return now;
  }
  /** Those that are online, as its guest says; where that says nothing of use, those that it was last given. */
  async #cpusOf(kernel: Kernel): Promise<number> {
    const { launch, spec } = this.record;
    try {
      return (await kernel.size('cpus')).cpus;
    } catch (error) {
      if ((error as PolykernelError).code === 'kernel-died') throw error;
      return launch?.size?.cpus ?? machineSize(spec).cpus;
    }
  }
  /** A guest that does not let go of its CPUs is kept off them all the same: its vCPUs share what it has left. Rejects with `kernel-died`. */
  async #takeCpus(kernel: Kernel, size: KernelSize): Promise<KernelSize> {
    let refusal: unknown;
    try {
      const now = await kernel.resize(size, 'cpus');
      if (now.cpus <= size.cpus) return now;
      refusal = new PolykernelError('not-ready', `its guest has ${now.cpus} CPUs online, and is to have ${size.cpus}`);
    } catch (error) {
      if ((error as PolykernelError).code === 'kernel-died') throw error;
      refusal = error;
    }
    this.#life.environment.complain(`having the guest of ${this.name} let go of CPUs that are taken from it`, refusal);
    return size;
  }
  /** Of its CPUs, for people; null when no kernel runs, or its driver gives none. */
  async registers(): Promise<string | null> {
    await this.takenOver();
    return (await this.#life.run?.kernel?.registers?.()) ?? null;
  }
  /** Of its kernel; null when none runs or has been taken over, or its driver gives none. */
  get memory(): MemorySource | null {
    return this.#liveKernel()?.memory ?? null;
  }
  /** What guest and VMM say that its kernel has, as Kernel.size(); null when none runs. */
  async sizeNow(part?: keyof KernelSize): Promise<KernelSize | null> {
    await this.takenOver();
    return (await this.#liveKernel()?.size(part)) ?? null;
  }
  /** Whether its kernel is bound to the share that it has, as the host says. Throws `unsupported` where nothing can do that. */
  async holdsShare(): Promise<boolean> {
    await this.takenOver();
    const wanted = hostPlacement(this.record)?.mostCpus ?? null;
    const real = wanted === null ? null : await this.placementNow();
    if (wanted === null || real === null) return true;
    if (real.mostCpus !== null) return Math.abs(real.mostCpus - wanted) < 0.001;
    throw new PolykernelError('unsupported', 'no control group of this host bounds the CPU time of a kernel', {
      hint: 'It takes root, and the controller "cpu": see `pk pool show`.',
    });
  }
  /** Where the kernel really is, read from the host kernel; null when none runs or has been taken over. */
  async placementNow(): Promise<RealPlacement | null> {
    return (await this.#liveKernel()?.placementNow()) ?? null;
  }
  /** How the kernel sits elsewhere than the record says, as a sentence; null when it does not, or none runs or has been taken over. */
  async misplaced(): Promise<string | null> {
    const { placement, spec } = this.record;
    const wanted = placement?.vcpuCpus.length ? vcpusOfMachine(spec, placement) : undefined;
    // A kernel that ends meanwhile is in no wrong place.
    const real = wanted && (await this.placementNow().catch(() => null));
    return real ? misplacementOf(wanted, real) : null;
  }
  #liveKernel(): Kernel | undefined {
    return this.#isUp ? this.#life.run?.kernel : undefined;
  }

  /** Takes up what an earlier daemon left, as Life.adopt(). */
  adopt(alive: () => void): Promise<void> {
    return this.#life.adopt(alive);
  }

  /** Lets go of everything without touching the kernel. A boot under way is given up; the next daemon repeats it. */
  detach(settle = false): Promise<void> {
    return this.#life.detach(settle);
  }
}

const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

import { randomBytes } from 'node:crypto';
import { closeSync } from 'node:fs';
import type { Duplex } from 'node:stream';
import type { Driver, Kernel, KernelExit, LaunchSpec, RealPlacement, SharedRegion } from '../driver/index.ts';
import type { ExecRequest, GuestExit, GuestLink, GuestProcess } from '../guest/index.ts';
import { type Clock, timestamp } from '../sys/clock.ts';
import { cpusText } from '../sys/cpu-list.ts';
import { asPolykernelError, type ErrorCode, PolykernelError } from '../sys/errors.ts';
import type { InstanceEventType } from './events.ts';
import {
  exitOfFailedStart,
  exitOfKernel,
  exitOfLostWorkload,
  exitOfWorkload,
  killedExit,
  stoppedExit,
} from './exits.ts';
import { Foreground } from './foreground.ts';
import { type Effect, type MachineEvent, transition } from './machine.ts';
import { pump, type Watcher, type WorkloadLog } from './output.ts';
import { hostPlacement, type InstanceRecord, statusOf } from './record.ts';
import { ownersAfterRun } from './source.ts';
import type { InstanceExit, InstanceState, InstanceStatus } from './spec.ts';

/** Once the workload is over, how long other processes in the guest may take to end. */
const END_GRACE_MS = 3_000;
/** How long a lost workload waits for news of its kernel, which usually is what went. */
const LOST_PATIENCE_MS = 3_000;

/** What an instance needs of the daemon. */
export interface InstanceEnvironment {
  clock: Clock;
  driver: Driver;
  log: WorkloadLog;
  /**
   * Makes the launch directory anew and gives all a driver needs, and what of it is kept in the record. `hold` gets an open
   * descriptor, LaunchSpec's `rootLease`, which the caller closes.
   */
  prepareLaunch(
    record: InstanceRecord,
    signal: AbortSignal,
    progress: (text: string) => void,
    hold: (lease: number) => void,
  ): Promise<{ launch: LaunchSpec; kept: Pick<InstanceRecord, 'identity' | 'sources'> }>;
  /** A kernel is ready, started with `regions` of shared memory or found again. */
  kernelUp(kernel: Kernel, regions: readonly SharedRegion[], adopted: boolean): void;
  /** Time goes on for a kernel that was paused. Resolves when what has to know of it does; never rejects. */
  resumed(kernel: Kernel): Promise<void>;
  /** Ends whatever a launch left running, without asking its guest. */
  destroy(launch: LaunchSpec): Promise<void>;
  /** Keeps the record; never throws. */
  save(record: InstanceRecord): void;
  tell(type: InstanceEventType, record: InstanceRecord, message: string): void;
  /** For the daemon's own log. */
  complain(text: string, error: unknown): void;
}

/** One start of a kernel until its end. */
interface Run {
  readonly abort: AbortController;
  kernel: Kernel | undefined;
  main: GuestProcess | undefined;
  /** Calls to the kernel, one after the other. */
  calls: Promise<unknown>;
  /** Until the workload's output is in its log. */
  output: Promise<unknown>;
}

const newRun = (kernel: Kernel | undefined): Run => {
  return { abort: new AbortController(), kernel, main: undefined, calls: Promise.resolve(), output: Promise.resolve() };
};

/**
 * One instance: carries out the effects of its state machine.
 *
 * INVARIANTS
 * - The machine changes only in #dispatch, which is synchronous and saves: so no two operations are ever half done.
 * - At most one Run exists, and none in created, exited and backoff. News of an earlier run are dropped.
 * - A kernel that was started is either in the Run or being killed; nothing else holds one.
 * - After detach() nothing here touches the kernel, the record or the timers again.
 */
export class Instance {
  readonly #environment: InstanceEnvironment;
  #record: InstanceRecord;
  #run: Run | undefined;
  #foreground: Foreground | undefined;
  #cancelTimer = () => {};
  #stopGraceMs: number;
  #detached = false;
  readonly #watchers = new Set<Watcher>();
  readonly #listeners = new Set<() => void>();

  constructor(record: InstanceRecord, environment: InstanceEnvironment) {
    this.#record = record;
    this.#environment = environment;
    this.#stopGraceMs = record.spec.stopGraceMs;
  }

  get record(): InstanceRecord {
    return this.#record;
  }
  /** What the supervisor has decided and stored. What runs is not touched: see repin. */
  replaceRecord(record: InstanceRecord): void {
    this.#record = record;
    this.#changed();
  }
  /** Moves the kernel, if one runs, to the CPUs the record says; without a placement to the housekeeping CPUs. */
  async repin(housekeepingCpus: readonly number[] | undefined): Promise<void> {
    const kernel = this.#liveKernel();
    if (kernel === undefined) return;
    const placement = hostPlacement(this.#record);
    await kernel.repin(placement, housekeepingCpus);
    const { launch } = this.#record;
    if (launch === null || this.#detached) return;
    this.#record = { ...this.#record, launch: { ...launch, placement, housekeepingCpus } };
    this.#environment.save(this.#record);
  }
  /** Where the kernel really is, read from the host kernel; null when none runs. */
  async placementNow(): Promise<RealPlacement | null> {
    return (await this.#liveKernel()?.placementNow()) ?? null;
  }
  /** How the kernel sits elsewhere than the record says, as a sentence; null when it does not or none runs. */
  async misplaced(): Promise<string | null> {
    const wanted = this.#record.placement?.vcpuCpus;
    // A kernel that ends meanwhile is in no wrong place.
    const real = wanted && (await this.placementNow().catch(() => null));
    const wrong = wanted?.findIndex((cpu, index) => real?.vcpus[index]?.join() !== String(cpu)) ?? -1;
    if (!real || wrong === -1) return null;
    const cpus = real.vcpus[wrong] ?? [];
    return `its vCPU ${wrong} may run on ${cpusText(cpus)} instead of CPU ${wanted![wrong]}`;
  }
  #liveKernel(): Kernel | undefined {
    return this.state === 'running' || this.state === 'paused' ? this.#run?.kernel : undefined;
  }
  get name(): string {
    return this.#record.spec.name;
  }
  get state(): InstanceState {
    return this.#record.machine.state;
  }
  get status(): InstanceStatus {
    return statusOf(this.#record, this.#run?.kernel?.pid || null);
  }
  get driver(): Driver {
    return this.#environment.driver;
  }
  /** Whether a foreground instance has, or had, its client. */
  get hasClient(): boolean {
    return this.#foreground !== undefined;
  }
  /** Whether a kernel runs or is about to, so that it cannot be removed. */
  get active(): boolean {
    return !['created', 'exited', 'backoff'].includes(this.state);
  }

  /** Begins a start; `settled` tells how it went. Throws `conflict`. */
  begin(): void {
    this.#dispatch({ type: 'start' });
  }

  /**
   * Resolves once its workload was executed; rejects with what kept it from that: `not-ready`, `panic`, `kernel-died`,
   * `not-executed`, `no-command` or `internal`. Throws `conflict` if it runs already.
   */
  async start(signal?: AbortSignal): Promise<void> {
    this.begin();
    await this.#until(() => !this.#isBeginning, signal);
    const { exit, state } = this.#record.machine;
    if (state === 'running' || state === 'paused' || exit === null) return;
    const code = codeOfFailedStart(exit);
    // What was executed has started, however it ended.
    if (code === undefined || this.#record.workingDirectory !== null) return;
    throw new PolykernelError(code, `${this.name} did not start: ${exit.message}`, {
      ...(exit.reason === 'failed' && {
        hint: `It is kept: pk start ${this.name} tries again, pk rm ${this.name} removes it.`,
      }),
    });
  }

  /** Whether it is to be seen yet if its workload can be executed. */
  get #isBeginning(): boolean {
    const { state, ending } = this.#record.machine;
    if (state === 'stopping') return ending?.reason === 'failed';
    return state === 'starting' || (this.#run?.main?.pid === 0 && (state === 'running' || state === 'paused'));
  }

  /** Resolves when it is down. Grace in ms; default that of the spec. */
  async stop(graceMs: number = this.#record.spec.stopGraceMs): Promise<void> {
    this.#stopGraceMs = graceMs;
    this.#dispatch({ type: 'stop', exit: stoppedExit(this.#now()) });
    await this.#until(() => !this.active);
  }

  /** Kills the kernel; resolves when it is gone. Throws `conflict` when none runs. */
  async kill(message = 'killed on request'): Promise<void> {
    this.#dispatch({ type: 'kill', exit: killedExit(message, this.#now()) });
    await this.#until(() => !this.active);
  }

  /** Sends a signal to the workload. Throws `conflict` when none runs. */
  signal(number: number): void {
    const main = this.#run?.main;
    if (main === undefined || this.state !== 'running')
      throw this.#conflict('runs no workload that could get a signal');
    main.signal(number);
  }

  async pause(): Promise<void> {
    if (!this.driver.capabilities().pause) {
      throw new PolykernelError('unsupported', `the driver ${this.driver.traits.name} lacks the capability "pause"`, {
        field: 'driver',
      });
    }
    await this.#call('pause', 'paused');
  }

  async resume(): Promise<void> {
    await this.#call('resume', 'resumed');
  }

  /** Resolves once the instance is down and no restart is due. */
  async ended(signal?: AbortSignal): Promise<void> {
    await this.#until(() => this.state === 'exited' || this.#detached, signal);
  }

  /** Resolves once the end of the kernel or of its workload is recorded, if one of them is about to end. */
  async settled(): Promise<void> {
    const run = this.#run;
    const patience = new AbortController();
    const cancel = this.#environment.clock.after(LOST_PATIENCE_MS, () => patience.abort());
    await this.#until(
      () => this.#run !== run || !['running', 'paused'].includes(this.state) || this.#detached,
      patience.signal,
    ).catch(() => {});
    cancel();
  }

  /** A further process in the guest. Throws `conflict` unless running. */
  exec(request: ExecRequest): GuestProcess {
    return this.#guest('run a command').exec(request);
  }
  /** For files. Throws `conflict` unless running. */
  guest(): GuestLink {
    return this.#guest('transfer a file');
  }
  console(): Promise<Duplex> {
    const kernel = this.#run?.kernel;
    if (kernel === undefined) throw this.#conflict('has no running kernel, so no console');
    return kernel.console();
  }

  /** Takes the place of the client of a foreground instance. Throws `conflict` when it is taken. */
  attachForeground(onPhase: (text: string) => void): Foreground {
    if (this.#foreground !== undefined) throw this.#conflict('has a client attached already');
    const foreground = new Foreground(onPhase, () => this.#clientLeft());
    this.#foreground = foreground;
    const { exit, ending } = this.#record.machine;
    if (this.state === 'exited' && exit !== null) foreground.end(exit);
    else if (this.state === 'stopping' && ending !== null) foreground.end(ending);
    else if (this.state === 'running') this.#beginWorkload();
    return foreground;
  }

  /** Output of a detached workload from now on. Returns what ends the watch. */
  watch(watcher: Watcher): () => void {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }
  /** The workload of a detached instance, while it runs. */
  get main(): GuestProcess | undefined {
    return this.#run?.main;
  }

  /** Told after every change of state. Returns what ends it. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Takes up what an earlier daemon left: finds the kernel again or draws the conclusion from its end. */
  async adopt(): Promise<void> {
    const { machine, launch, restartAt } = this.#record;
    if (machine.state === 'created' || machine.state === 'exited') return;
    if (machine.state === 'backoff') {
      const due = restartAt === null ? 0 : Date.parse(restartAt) - this.#environment.clock.now();
      return this.#armRestart(Math.min(Math.max(due, 0), 60_000));
    }
    const found = launch === null ? undefined : await this.#find(launch);
    const kernel = found !== undefined && 'guest' in found ? found : undefined;
    if (machine.state === 'starting') {
      // Half set up: what was done to it is not known, so it is booted anew.
      await kernel?.kill();
      return void this.#boot();
    }
    const run = newRun(kernel);
    this.#run = run;
    if (kernel === undefined) {
      const gone = {
        reason: 'died',
        code: null,
        signal: null,
        message: 'the kernel was gone when the daemon came back',
      } as const;
      this.#kernelEnded(run, exitOfKernel((found as Exclude<typeof found, Kernel>) ?? gone, this.#now()));
      return;
    }
    this.#watchKernel(run, kernel, true);
    this.#environment.tell('adopted', this.#record, '');
    if (machine.state === 'stopping') return void this.#endKernel(run, 'kill');
    this.#adoptSessions(run, kernel);
    // Attaching had to wake it.
    if (this.state !== 'paused') return;
    kernel.guest.rest(true);
    await kernel.pause();
  }

  /** Lets go of everything without touching the kernel. A boot under way is given up; the next daemon repeats it. */
  async detach(): Promise<void> {
    this.#detached = true;
    this.#cancelTimer();
    const run = this.#run;
    this.#changed();
    if (run === undefined) return;
    if (run.kernel !== undefined) return run.kernel.detach();
    run.abort.abort(new PolykernelError('unavailable', 'the daemon is ending'));
    await run.calls;
  }

  /** A kernel that cannot be taken over is ended: nobody could reach it. */
  async #find(launch: LaunchSpec): Promise<Kernel | KernelExit | undefined> {
    try {
      return await this.driver.attach(launch);
    } catch (error) {
      this.#environment.complain(`taking over ${this.name}`, error);
      await this.#environment
        .destroy(launch)
        .catch((failure) => this.#environment.complain(`ending ${this.name}`, failure));
      return {
        reason: 'died',
        code: null,
        signal: null,
        message: `the kernel could not be taken over: ${asPolykernelError(error, 'that').message}`,
      };
    }
  }

  #now(): string {
    return timestamp(this.#environment.clock);
  }

  #conflict(reason: string): PolykernelError {
    return new PolykernelError('conflict', `${this.name} ${reason}`, { field: 'name', value: this.name });
  }

  #guest(purpose: string): GuestLink {
    const kernel = this.#run?.kernel;
    if (kernel !== undefined && this.state === 'running') return kernel.guest;
    throw new PolykernelError('conflict', `${this.name} is ${this.state}; it must be running to ${purpose} in it`, {
      field: 'name',
      value: this.name,
      hint:
        this.state === 'paused'
          ? `Resume it: pk resume ${this.name}`
          : this.active
            ? undefined
            : `Start it: pk start ${this.name}`,
    });
  }

  #dispatch(event: MachineEvent): void {
    if (this.#detached) return;
    const result = transition(this.#record.machine, event, this.#record.spec.restart);
    if ('refused' in result) throw this.#conflict(result.refused);
    const changed = result.machine !== this.#record.machine;
    const { sources, spec, restartAt } = this.#record;
    this.#record = {
      ...this.#record,
      machine: result.machine,
      sources: event.type === 'kernel-ended' && sources !== null ? ownersAfterRun(sources, spec.volumes) : sources,
      restartAt: result.machine.state === 'backoff' ? restartAt : null,
    };
    for (const effect of result.effects) this.#carryOut(effect);
    if (!changed) return;
    this.#environment.save(this.#record);
    this.#changed();
  }

  #changed(): void {
    for (const listener of [...this.#listeners]) listener();
    const { machine } = this.#record;
    if (machine.state === 'exited' && machine.exit !== null) this.#foreground?.end(machine.exit);
  }

  #until(condition: () => boolean, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      if (condition()) return resolve();
      const stopListening = this.onChange(() => {
        if (!condition()) return;
        finish();
        resolve();
      });
      const onAbort = () => {
        finish();
        reject(signal?.reason);
      };
      const finish = () => {
        stopListening();
        signal?.removeEventListener('abort', onAbort);
      };
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  }

  #carryOut(effect: Effect): void {
    const run = this.#run;
    switch (effect.do) {
      case 'boot':
        void this.#boot();
        break;
      case 'cancel-boot':
        if (run !== undefined) this.#cancelBoot(run);
        break;
      case 'begin-workload':
        this.#beginWorkload();
        break;
      case 'end-kernel':
        if (run !== undefined) void this.#endKernel(run, effect.how);
        break;
      case 'arm-restart':
        this.#armRestart(effect.delayMs);
        break;
      case 'disarm-restart':
        this.#cancelTimer();
        break;
      case 'tell':
        this.#environment.tell(effect.event, this.#record, effect.message);
        break;
    }
  }

  #cancelBoot(run: Run): void {
    run.abort.abort(new PolykernelError('conflict', `the start of ${this.name} was cancelled`));
  }

  #armRestart(delayMs: number): void {
    const { clock } = this.#environment;
    this.#cancelTimer();
    this.#record = { ...this.#record, restartAt: new Date(clock.now() + delayMs).toISOString() };
    this.#cancelTimer = clock.after(delayMs, () => this.#dispatch({ type: 'restart-due' }));
  }

  async #boot(): Promise<void> {
    const run = newRun(undefined);
    const { promise, resolve } = Promise.withResolvers<void>();
    run.calls = promise;
    this.#run = run;
    const { signal } = run.abort;
    const begun = this.#environment.clock.now();
    const progress = (text: string) => this.#foreground?.phase(text);
    this.#record = {
      ...this.#record,
      session: null,
      bootId: null,
      kernelRelease: null,
      cloned: null,
      readyAt: null,
      readyMs: null,
      workingDirectory: null,
      startedAt: new Date(begun).toISOString(),
    };
    let rootLease: number | undefined;
    const hold = (lease: number) => {
      rootLease = lease;
    };
    try {
      const { launch, kept } = await this.#environment.prepareLaunch(this.#record, signal, progress, hold);
      this.#record = { ...this.#record, ...kept, launch, imageDigest: launch.image.digest };
      this.#environment.save(this.#record);
      signal.throwIfAborted();
      const kernel = await this.driver.start({ ...launch, rootLease }, signal, progress);
      if (this.#detached) return void (await kernel.kill());
      run.kernel = kernel;
      this.#ready(run, kernel, begun);
    } catch (error) {
      if (!signal.aborted) this.#environment.complain(`starting ${this.name}`, error);
      this.#kernelEnded(run, exitOfFailedStart(asPolykernelError(error, `starting ${this.name}`), this.#now()));
    } finally {
      if (rootLease !== undefined) closeSync(rootLease);
      resolve();
    }
  }

  #ready(run: Run, kernel: Kernel, begun: number): void {
    const now = this.#environment.clock.now();
    this.#record = {
      ...this.#record,
      bootId: kernel.guest.hello?.bootId ?? null,
      kernelRelease: kernel.guest.hello?.release ?? null,
      cloned: kernel.cloned,
      readyAt: new Date(now).toISOString(),
      readyMs: now - begun,
    };
    this.#watchKernel(run, kernel, false);
    this.#dispatch({ type: 'ready' });
  }

  #watchKernel(run: Run, kernel: Kernel, adopted: boolean): void {
    this.#environment.kernelUp(kernel, this.#record.launch?.regions ?? [], adopted);
    void kernel.exited.then(async (exit) => {
      // Ends the streams of all its processes, so that the last output is logged before the end is told.
      kernel.guest.destroy();
      await run.output;
      this.#kernelEnded(run, exitOfKernel(exit, this.#now()));
    });
    kernel.guest.once('protocol-error', (error) => {
      // A guest that cannot be spoken to cannot be run: its kernel goes.
      this.#workloadEnded(run, exitOfLostWorkload(error.message, this.#now()));
      void this.#endKernel(run, 'kill');
    });
  }

  #kernelEnded(run: Run, exit: InstanceExit): void {
    if (this.#run !== run || this.#detached) return;
    this.#run = undefined;
    const { readyAt } = this.#record;
    const ranMs = readyAt === null ? 0 : this.#environment.clock.now() - Date.parse(readyAt);
    this.#dispatch({ type: 'kernel-ended', exit, ranMs });
  }

  #workloadEnded(run: Run, exit: InstanceExit): void {
    if (this.#run !== run || this.#detached) return;
    this.#dispatch({ type: 'workload-ended', exit });
  }

  /** Detached: at once. Foreground: as soon as both the kernel and the client are there. */
  #beginWorkload(): void {
    const run = this.#run;
    const { spec } = this.#record;
    if (run?.kernel === undefined || run.main !== undefined) return;
    if (spec.attached && this.#foreground === undefined) return;
    const { command, env, cwd, cwdOptional, user, rows, columns } = spec;
    let main: GuestProcess;
    try {
      main = run.kernel.guest.exec({
        ...{ command, env, cwd, cwdOptional, user },
        tty: spec.tty ? { rows, columns } : undefined,
      });
    } catch (error) {
      const failure = asPolykernelError(error, 'starting the workload');
      this.#workloadEnded(run, exitOfFailedStart(failure, this.#now()));
      return;
    }
    this.#takeMain(run, main);
    this.#record = { ...this.#record, session: main.session };
    if (this.#foreground !== undefined) this.#foreground.begun(main);
    else if (!spec.tty) main.stdin.end();
  }

  #takeMain(run: Run, main: GuestProcess): void {
    run.main = main;
    const { log } = this.#environment;
    // In the foreground the client reads; else the log does, and the workload is over when all of it was read.
    if (!this.#record.spec.attached) {
      const pumps = [pump(main.stdout, 'out', log, this.#watchers), pump(main.stderr, 'err', log, this.#watchers)];
      run.output = Promise.all(pumps);
    }
    main.started.then(
      () => this.#began(run, main),
      () => {},
    );
    void main.exited.then(async (exit) => {
      await run.output;
      await this.#mainEnded(run, main, exit);
    });
  }

  /** Also for one that was taken over, of which it is recorded already where it began. */
  #began(run: Run, main: GuestProcess): void {
    if (this.#run !== run || this.#detached) return;
    if (this.#record.workingDirectory === null) {
      this.#record = { ...this.#record, workingDirectory: main.isElsewhere ? '/' : this.#record.spec.cwd };
      this.#environment.save(this.#record);
    }
    this.#changed();
  }

  async #mainEnded(run: Run, main: GuestProcess, exit: GuestExit): Promise<void> {
    if (this.#run !== run || this.#detached) return;
    if (exit.kind === 'failed' && exit.value === 0) {
      // The guest was lost: its kernel's end, which is about to be known, says why.
      this.#environment.clock.after(LOST_PATIENCE_MS, () =>
        this.#workloadEnded(run, exitOfLostWorkload(`the workload was lost: ${exit.message}`, this.#now())),
      );
      return;
    }
    main.forget();
    const recorded = exitOfWorkload(exit, this.#record.spec, this.#now());
    this.#workloadEnded(run, recorded);
    // What the guest wrote to the host's files is there only once its kernel has synced them.
    if (this.#record.spec.volumes.every((volume) => volume.readOnly))
      this.#foreground?.end(this.#record.machine.ending ?? recorded);
  }

  async #endKernel(run: Run, how: 'stop' | 'end' | 'kill'): Promise<void> {
    const { kernel } = run;
    if (kernel === undefined) return this.#cancelBoot(run);
    try {
      if (how === 'kill') await kernel.kill();
      else {
        await run.calls;
        await kernel.stop(how === 'stop' ? this.#stopGraceMs : Math.min(this.#stopGraceMs, END_GRACE_MS));
      }
    } catch (error) {
      this.#environment.complain(`ending the kernel of ${this.name}`, error);
    }
  }

  async #call(verb: 'pause' | 'resume', done: 'paused' | 'resumed'): Promise<void> {
    this.#dispatch({ type: verb });
    const run = this.#run!;
    const call = run.calls.then(() => run.kernel?.[verb]());
    run.calls = call.catch(() => {});
    // What a paused guest leaves unread or unanswered is no fault of its own.
    if (verb === 'pause') run.kernel?.guest.rest(true);
    try {
      await call;
    } catch (error) {
      run.kernel?.guest.rest(verb === 'resume');
      throw error;
    }
    if (verb === 'resume' && run.kernel !== undefined) {
      run.kernel.guest.rest(false);
      await this.#environment.resumed(run.kernel);
    }
    if (this.#run === run) this.#dispatch({ type: done });
  }

  #clientLeft(): void {
    if (this.#detached || !this.active || this.state === 'stopping') return;
    this.kill('the client went away').catch((error) => this.#environment.complain(`ending ${this.name}`, error));
  }

  #adoptSessions(run: Run, kernel: Kernel): void {
    const { session } = this.#record;
    const found = kernel.guest.sessions();
    for (const other of found) if (other.session !== session) kernel.guest.adopt(other.session).forget();
    if (session === null) this.#beginWorkload();
    else if (found.some((each) => each.session === session)) this.#takeMain(run, kernel.guest.adopt(session));
    else {
      this.#workloadEnded(
        run,
        exitOfLostWorkload('the workload had ended when the daemon came back; how is not known', this.#now()),
      );
    }
  }
}

/** As what a start is refused that ended so; undefined when that was no failure to start. */
function codeOfFailedStart({ reason, exitCode }: InstanceExit): ErrorCode | undefined {
  const codes: Partial<Record<InstanceExit['reason'], ErrorCode>> = {
    'not-ready': 'not-ready',
    panic: 'panic',
    died: 'kernel-died',
    failed: exitCode === 127 ? 'no-command' : exitCode === 126 ? 'not-executed' : 'internal',
  };
  return codes[reason];
}

/** A new id: 32 lower-case hexadecimal digits. */
export const newInstanceId = (): string => randomBytes(16).toString('hex');

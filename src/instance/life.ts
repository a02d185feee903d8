/** The life of one instance: its state machine, and what that has done to its kernel and its workload. */
import { type Kernel, NotGone } from '../driver/index.ts';
import type { GuestExit, GuestProcess } from '../guest/index.ts';
import { timestamp } from '../sys/clock.ts';
import { asPolykernelError, PolykernelError } from '../sys/errors.ts';
import { Changes } from './changes.ts';
import type { InstanceEnvironment } from './environment.ts';
import { exitOfFailedStart, exitOfKernel, exitOfLostWorkload, exitOfStuckStart, exitOfWorkload } from './exits.ts';
import { endLaunch, findKernel, leave, PROOF_AGAIN_MS, staysPaused } from './find-kernel.ts';
import type { Foreground } from './foreground.ts';
import { type Effect, type MachineEvent, transition } from './machine.ts';
import type { Watcher } from './output.ts';
import { type InstanceRecord, NEW_RUN } from './record.ts';
import { conflict } from './refusals.ts';
import { LOOP_DELAY_MS } from './restart.ts';
import { Run } from './run.ts';
import { ownersAfterRun } from './source.ts';
import type { InstanceExit, InstanceState } from './spec.ts';
import { startKernel } from './start-kernel.ts';
import { adoptWorkload, execWorkload, giveUp, Workload } from './workload.ts';

/** Once the workload is over, how long other processes in the guest may take to end. */
const END_GRACE_MS = 3_000;
/** How long a client may take to come back to what it was promised to go on with. */
export const CARRIED_MS = 30_000;
/** How long a lost workload waits for news of its kernel, which usually is what went. */
export const LOST_PATIENCE_MS = 3_000;

/**
 * INVARIANTS
 * - The machine changes only in dispatch(), which is synchronous and saves: so no two operations are ever half done.
 * - At most one Run exists, and none in created, exited and backoff. News of an earlier run are dropped.
 * - A kernel that was started is either in the Run or being killed; nothing else holds one.
 * - After detach() nothing here touches the kernel, the record or the timers again.
 */
export class Life {
  readonly environment: InstanceEnvironment;
  /** Of its state, among others. */
  readonly changes = new Changes();
  /** Of the output of a detached workload. */
  readonly watchers = new Set<Watcher>();
  /** For the next stop. */
  stopGraceMs: number;
  #record: InstanceRecord;
  #run: Run | undefined;
  #foreground: Foreground | undefined;
  /** The workload of a foreground instance whose client is still to come back from an earlier daemon. */
  #waiting: GuestProcess | undefined;
  #cancelTimer = () => {};
  #isRestartDue = false;
  #detached = false;

  constructor(record: InstanceRecord, environment: InstanceEnvironment) {
    this.#record = record;
    this.environment = environment;
    this.stopGraceMs = record.spec.stopGraceMs;
  }

  get record(): InstanceRecord {
    return this.#record;
  }
  get name(): string {
    return this.#record.spec.name;
  }
  /** Its kernel is to end, and is not known to have ended. */
  get isEnding(): boolean {
    return this.state === 'stopping' || this.state === 'stuck';
  }

  get state(): InstanceState {
    return this.#record.machine.state;
  }
  get run(): Run | undefined {
    return this.#run;
  }
  get foreground(): Foreground | undefined {
    return this.#foreground;
  }
  get detached(): boolean {
    return this.#detached;
  }
  get isRestartDue(): boolean {
    return this.#isRestartDue;
  }
  /** Whether its kernel has booted and is not about to end. */
  get isUp(): boolean {
    return this.state === 'running' || this.state === 'paused';
  }
  /** Whether that is an earlier daemon's, and has not answered this one yet. */
  get isTakingOver(): boolean {
    return this.isUp && this.#run?.takingOver !== undefined;
  }
  /** The present moment, as records have it. */
  get now(): string {
    return timestamp(this.environment.clock);
  }

  /** What somebody else has decided and stored. */
  replaceRecord(record: InstanceRecord): void {
    this.#record = record;
    this.#changed();
  }

  /** Keeps what became known of the instance, whose state stays. */
  keep(part: Partial<Omit<InstanceRecord, 'machine'>>): void {
    this.#record = { ...this.#record, ...part };
    this.environment.save(this.#record);
  }

  /** Goes on to the state that `event` leads to. Throws `conflict` when that is not to be. */
  dispatch(event: MachineEvent): void {
    if (this.#detached) return;
    const result = transition(this.#record.machine, event, this.#record.spec);
    if ('refused' in result) throw conflict(this.name, result.refused);
    const changed = result.machine !== this.#record.machine;
    const { restartAt } = this.#record;
    this.#isRestartDue &&= result.machine.state === 'backoff';
    this.#record = {
      ...this.#record,
      machine: result.machine,
      restartAt: result.machine.state === 'backoff' ? restartAt : null,
    };
    for (const effect of result.effects) this.#carryOut(effect);
    if (!changed) return;
    this.environment.save(this.#record);
    this.#changed();
  }

  /** Its time stands still. `briefly`: a later daemon lets it go on. */
  paused(briefly: boolean): void {
    if (this.#detached) return;
    this.#record = { ...this.#record, pausedBriefly: briefly };
    this.dispatch({ type: 'paused' });
  }

  /** The client of a foreground instance is there, for which its workload waits. */
  attach(foreground: Foreground): void {
    this.#foreground = foreground;
    if (this.#waiting !== undefined) foreground.begun(this.#waiting);
    this.#waiting = undefined;
    const { exit, ending } = this.#record.machine;
    if (this.state === 'exited' && exit !== null) foreground.end(exit);
    else if (this.isEnding && ending !== null) foreground.end(ending);
    else if (this.state === 'running') {
      this.#beginWorkload();
      this.environment.save(this.#record);
    }
  }

  /**
   * Takes up what an earlier daemon left: finds the kernel again or draws the conclusion from its end. `alive`: told when the host knows that
   * it lives; its guest may take long to answer.
   */
  async adopt(alive: () => void): Promise<void> {
    const { machine, restartAt } = this.#record;
    if (machine.state === 'created' || machine.state === 'exited') return;
    if (machine.state === 'backoff') {
      const due = restartAt === null ? 0 : Date.parse(restartAt) - this.environment.clock.now();
      return this.#armRestart(Math.min(Math.max(due, 0), LOOP_DELAY_MS));
    }
    const run = new Run();
    this.#run = run;
    await run.takeOver(() => this.#takeOver(run, alive)).finally(() => this.changes.tell());
  }

  /** Of one that is to end, or is booted anew since it was half set up, the guest is not asked. */
  #find(run: Run, alive: () => void) {
    const { launch } = this.#record;
    if (!this.isUp) return endLaunch(this.name, launch, this.environment);
    return findKernel(this.name, launch, this.environment, {
      signal: run.signal,
      isDetached: () => this.#detached,
      isPaused: staysPaused(this.#record),
      seen(pid) {
        run.takingOver = { pid };
        alive();
      },
    });
  }

  /** Looks again later for one that is not proven to be gone. */
  async #takeOver(run: Run, alive: () => void): Promise<void> {
    const found = await this.#find(run, alive);
    if (!this.#isCurrent(run)) return 'guest' in found ? await leave(found, staysPaused(this.#record)) : undefined;
    const { machine } = this.#record;
    // A start that an earlier daemon has begun is made anew then.
    if ('left' in found) {
      const left = machine.state === 'starting' ? undefined : exitOfLostWorkload(found.left, this.now);
      return this.#lookAgain(run, left, alive);
    }
    if (machine.state === 'starting') return void this.#boot();
    if (!('guest' in found)) return await this.#kernelEnded(run, exitOfKernel(found, this.now));
    run.kernel = found;
    this.#watchKernel(run, found, true);
    this.environment.tell('adopted', this.#record, '');
    if (machine.state === 'stopping' || machine.state === 'stuck') return void this.#endKernel(run, 'kill');
    this.#adoptWorkload(run, found);
    // Attaching had to wake it.
    if (this.state !== 'paused') return;
    if (this.#record.pausedBriefly === true) return this.dispatch({ type: 'resumed' });
    found.guest.rest(true);
    try {
      await found.pause();
    } catch (error) {
      // It runs by now, and is not to be said to stand still.
      found.guest.rest(false);
      if (this.#isCurrent(run)) this.dispatch({ type: 'resumed' });
      throw error;
    }
  }

  #lookAgain(run: Run, exit: InstanceExit | undefined, alive: () => void): void {
    if (exit !== undefined) this.dispatch({ type: 'unproven', exit });
    this.#cancelTimer = this.environment.clock.after(PROOF_AGAIN_MS, () => void this.#takeOver(run, alive));
  }

  /** Lets go of everything without touching the kernel. A boot under way is given up; the next daemon repeats it. `settle`: nothing that its workload said is lost. */
  async detach(settle = false): Promise<void> {
    // Nothing has changed since the daemon before this one: what that kept is for the next.
    const isUntouched = this.isTakingOver;
    this.#detached = true;
    this.#cancelTimer();
    const run = this.#run;
    this.#changed();
    const carried = (await run?.detach(settle && this.state === 'running')) ?? [];
    const { session, spec } = this.#record;
    // Without its client there is nothing to go on with.
    const isOver = settle && spec.attached && (session === null || !carried.includes(session));
    if (!isUntouched && (carried.length > 0 || isOver)) this.keep({ carried, session: isOver ? null : session });
  }

  #changed(): void {
    this.changes.tell();
    const { machine } = this.#record;
    if (machine.state === 'exited' && machine.exit !== null) this.#foreground?.end(machine.exit);
    // When it will be proven to be gone is its guest's to say.
    if (machine.state === 'stuck' && machine.ending !== null) this.#foreground?.end(machine.ending);
  }

  #isCurrent(run: Run): boolean {
    return this.#run === run && !this.#detached;
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
        this.environment.tell(effect.event, this.#record, effect.message);
        break;
    }
  }

  #cancelBoot(run: Run): void {
    run.cancelBoot(new PolykernelError('conflict', `the start of ${this.name} was cancelled`));
  }

  #armRestart(delayMs: number): void {
    const { clock } = this.environment;
    this.#cancelTimer();
    this.#record = { ...this.#record, restartAt: new Date(clock.now() + delayMs).toISOString() };
    this.#isRestartDue = false;
    this.#cancelTimer = clock.after(delayMs, () => {
      this.#isRestartDue = true;
      this.environment.restartDue();
    });
  }

  #boot(): Promise<void> {
    const run = new Run();
    this.#run = run;
    return run.boot(() => this.#bootKernel(run));
  }

  async #bootKernel(run: Run): Promise<void> {
    const { signal } = run;
    const begun = this.environment.clock.monotonic();
    const progress = (text: string) => this.#foreground?.phase(text);
    this.#record = { ...this.#record, ...NEW_RUN, startedAt: this.now };
    const keep = (part: Partial<InstanceRecord>) => this.keep(part);
    try {
      const record = () => this.#record;
      const kernel = await startKernel({ environment: this.environment, signal, progress, record, keep });
      if (this.#detached) return void (await kernel.kill());
      run.kernel = kernel;
      this.#ready(run, kernel, begun);
    } catch (error) {
      if (!signal.aborted) this.environment.complain(`starting ${this.name}`, error);
      if (error instanceof NotGone && this.#isCurrent(run))
        return this.#lookAgain(run, exitOfStuckStart(error, this.name, this.now), () => {});
      await this.#kernelEnded(run, exitOfFailedStart(asPolykernelError(error, `starting ${this.name}`), this.now));
    }
  }

  #ready(run: Run, kernel: Kernel, begun: number): void {
    run.readyMs = this.environment.clock.monotonic();
    this.#record = {
      ...this.#record,
      bootId: kernel.guest.hello?.bootId ?? null,
      kernelRelease: kernel.guest.hello?.release ?? null,
      cloned: kernel.cloned,
      readyAt: this.now,
      readyMs: Math.round(run.readyMs - begun),
    };
    this.#watchKernel(run, kernel, false);
    this.dispatch({ type: 'ready' });
  }

  #watchKernel(run: Run, kernel: Kernel, adopted: boolean): void {
    this.environment.kernelUp(kernel, this.#record.launch?.regions ?? [], adopted);
    void kernel.exited.then(async (exit) => {
      // Ends the streams of all its processes, so that the last output is logged before the end is told.
      kernel.guest.destroy();
      await run.workload?.output;
      await this.#kernelEnded(run, exitOfKernel(exit, this.now));
    });
    void kernel.unproven?.then((message) => this.#unproven(run, message));
    kernel.guest.once('protocol-error', (error) => {
      // A guest that cannot be spoken to cannot be run: its kernel goes.
      this.#workloadEnded(run, exitOfLostWorkload(error.message, this.now));
      void this.#endKernel(run, 'kill');
    });
  }

  async #endKernel(run: Run, how: 'stop' | 'end' | 'kill'): Promise<void> {
    if (run.kernel === undefined) return this.#cancelBoot(run);
    try {
      if (how === 'kill') await run.kill();
      else await run.stop(how === 'stop' ? () => this.stopGraceMs : () => Math.min(this.stopGraceMs, END_GRACE_MS));
    } catch (error) {
      this.environment.complain(`ending the kernel of ${this.name}`, error);
      this.#unproven(run, asPolykernelError(error, 'ending it').message);
    }
  }

  #unproven(run: Run, message: string): void {
    if (!this.#isCurrent(run)) return;
    this.dispatch({ type: 'unproven', exit: exitOfLostWorkload(message, this.now) });
    run.kernel?.guest.destroy(); // as at its end
  }

  async #kernelEnded(run: Run, exit: InstanceExit): Promise<void> {
    if (!this.#isCurrent(run)) return;
    const { sources, spec } = this.#record;
    if (sources !== null && spec.volumes.some((volume) => !volume.readOnly)) {
      const after = await ownersAfterRun(sources, spec.volumes);
      if (!this.#isCurrent(run)) return;
      this.#record = { ...this.#record, sources: after };
    }
    this.#run = undefined;
    this.dispatch({ type: 'kernel-ended', exit, ranMs: run.ranMs(this.environment.clock, this.#record) });
  }

  #workloadEnded(run: Run, exit: InstanceExit): void {
    if (this.#isCurrent(run)) this.dispatch({ type: 'workload-ended', exit });
  }

  /** Detached: at once. Foreground: as soon as both the kernel and the client are there. */
  #beginWorkload(): void {
    const run = this.#run;
    const { spec } = this.#record;
    if (run?.kernel === undefined || run.workload !== undefined) return;
    if (spec.attached && this.#foreground === undefined) return;
    let main: GuestProcess;
    try {
      main = execWorkload(run.kernel.guest, spec);
    } catch (error) {
      const failure = asPolykernelError(error, 'starting the workload');
      this.#workloadEnded(run, exitOfFailedStart(failure, this.now));
      return;
    }
    if (!spec.attached) this.environment.log.begin();
    this.#takeMain(run, main);
    this.#record = { ...this.#record, session: main.session };
    if (this.#foreground !== undefined) this.#foreground.begun(main);
    else if (!spec.tty) main.stdin.end();
  }

  #adoptWorkload(run: Run, kernel: Kernel): void {
    const { session, carried = [] } = this.#record;
    const main = adoptWorkload(kernel.guest, session);
    if (carried.length > 0) this.keep({ carried: [] });
    this.environment.clock.after(CARRIED_MS, () => this.#isCurrent(run) && giveUp(kernel.guest));
    // Its client may have been faster.
    if (this.#foreground !== undefined && main !== undefined) this.#foreground.begun(main);
    else if (this.#record.spec.attached) this.#waiting = main;
    if (main !== undefined) this.#takeMain(run, main);
    else if (session === null) this.#beginWorkload();
    else {
      const message = 'the workload had ended when the daemon came back; how is not known';
      this.#workloadEnded(run, exitOfLostWorkload(message, this.now));
    }
  }

  #takeMain(run: Run, main: GuestProcess): void {
    const { log } = this.environment;
    run.workload = new Workload(main, this.#record.spec.attached ? undefined : { log, watchers: this.watchers }, {
      began: () => this.#began(run, main),
      ended: (exit) => this.#mainEnded(run, main, exit),
    });
  }

  /** Also for one that was taken over, of which it is recorded already where it began. */
  #began(run: Run, main: GuestProcess): void {
    if (!this.#isCurrent(run)) return;
    if (this.#record.workingDirectory === null)
      this.keep({ workingDirectory: main.isElsewhere ? '/' : this.#record.spec.cwd });
    this.#changed();
  }

  #mainEnded(run: Run, main: GuestProcess, exit: GuestExit): void {
    if (!this.#isCurrent(run)) return;
    if (exit.kind === 'failed' && exit.value === 0) {
      // The guest was lost: its kernel's end, which is about to be known, says why.
      this.environment.clock.after(LOST_PATIENCE_MS, () =>
        this.#workloadEnded(run, exitOfLostWorkload(`the workload was lost: ${exit.message}`, this.now)),
      );
      return;
    }
    main.forget();
    const recorded = exitOfWorkload(exit, this.#record.spec, this.now);
    this.#workloadEnded(run, recorded);
    // What the guest wrote to the host's files is there only once its kernel has synced them.
    if (this.#record.spec.volumes.every((volume) => volume.readOnly))
      this.#foreground?.end(this.#record.machine.ending ?? recorded);
  }
}

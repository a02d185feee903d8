/**
 * A kernel whose process runs under pk-shim: what the drivers that start programs have in common. A driver extends ShimKernel with
 * pause() and resume(), and may override `observedEnd` where it learns of ends in another way than the console.
 *
 * INVARIANTS
 * - `exited` resolves exactly once, after the shim, the VMM and all its helpers are gone; or never, after detach().
 * - Whoever asks for the end first decides the reason: after stop() or kill() it is `stopped`, panic or not.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import type { GuestLink } from '../../guest/index.ts';
import { PolykernelError } from '../../sys/errors.ts';
import { allowedCpus } from '../../sys/process.ts';
import { inTurns } from '../../sys/slices.ts';
import type {
  HostPlacement,
  HostUsage,
  Kernel,
  KernelExit,
  KernelSize,
  KernelWord,
  LaunchSpec,
  RealPlacement,
  SharedRegion,
} from '../driver.ts';
import { outOfMemory, realLimits, rejoinLimits, removeLimits } from '../jail/limits.ts';
import { noteJail } from './fence.ts';
import { InstanceGroups } from './instance-groups.ts';
import { findThreads, type HostThread, type LaunchThreads } from './launch-threads.ts';
import { makeGroups, moveThreads, realPlacement, type Target } from './placement.ts';
import { readShimProcess, untilGone, untilProven } from './process.ts';
import { awaitProgramExit, connectShim, killShim, type ProgramExit, readConsoleTail, type ShimStatus } from './shim.ts';
import { signalName } from './signals.ts';
import { UsageReader } from './usage.ts';

/** Enough for a panic message and what led to it. */
const PANIC_TAIL_BYTES = 32 * 1024;
/** For what the end of a shim took along, found by a manager that comes later. */
const ENDED_DEADLINE_MS = 2_000;
const STOP_MARK = 'stop-requested';
const MOST_WORDS = 8;

/** As its VMM tells: the guest panicked, had its machine reset, or switched it off. */
export type GuestEnd = 'panic' | 'reset' | 'power-off';

export interface ShimKernelOptions {
  /** Of the instance. */
  id: string;
  directory: string;
  /** The program's pid, as launchShim() or shimStatus() gave it. */
  pid: number;
  cloned: boolean;
  guest: GuestLink;
  /** Called once when the kernel is gone or let go of: close what the driver holds for it. */
  release?: () => void;
}

export abstract class ShimKernel implements Kernel {
  readonly pid: number;
  readonly cloned: boolean;
  readonly guest: GuestLink;
  readonly exited: Promise<KernelExit>;
  readonly unproven: Promise<string>;
  private readonly tellUnproven: (message: string) => void;
  protected readonly id: string;
  protected readonly directory: string;
  private readonly release: () => void;
  private readonly watcher = new AbortController();
  private detached = false;
  private released = false;
  protected ended = false;
  private usageReader: UsageReader | undefined;
  private listener: ((word: KernelWord) => void) | undefined;
  private readonly words: KernelWord[] = [];

  constructor(options: ShimKernelOptions) {
    this.id = options.id;
    this.directory = options.directory;
    this.pid = options.pid;
    this.cloned = options.cloned;
    this.guest = options.guest;
    this.release = options.release ?? (() => {});
    const { promise, resolve } = Promise.withResolvers<string>();
    this.unproven = promise;
    this.tellUnproven = resolve;
    noteJail(options.directory, readShimProcess(options.directory)?.pid);
    this.exited = this.watch();
  }

  abstract pause(): Promise<void>;
  abstract resume(): Promise<void>;
  abstract attachRegion(region: SharedRegion): Promise<void>;
  abstract detachRegion(region: Pick<SharedRegion, 'id' | 'name'>): Promise<void>;
  abstract resize(size: KernelSize, part?: keyof KernelSize): Promise<KernelSize>;
  abstract size(part?: keyof KernelSize): Promise<KernelSize>;
  /** Which threads of the launch are vCPUs. */
  protected abstract readonly threadsOf: (threads: readonly HostThread[]) => LaunchThreads;

  /** Of its machine, as that was made: a guest can unplug some. */
  protected abstract readonly vcpuCount: number;

  /** Processes below the VMM are the guest's, and take the place of a vCPU. */
  protected abstract readonly childrenAreVcpu: boolean;

  /** How the guest ended, where its VMM has said so by now. Does not reject. */
  protected async observedEnd(): Promise<GuestEnd | undefined> {
    return undefined;
  }

  heed(listener: (word: KernelWord) => void): void {
    this.listener = listener;
    for (const word of this.words.splice(0)) listener(word);
  }

  /** Words that nobody heeds yet wait, the latest of them. */
  protected say(word: KernelWord): void {
    this.listener?.(word);
    if (this.listener === undefined) this.words.push(word);
    if (this.words.length > MOST_WORDS) this.words.shift();
  }

  async repin(placement: HostPlacement | undefined, housekeepingCpus: readonly number[] | undefined): Promise<void> {
    if (placement === undefined) return await this.disown(undefined, housekeepingCpus);
    if (placement.vcpuCpus.length !== this.vcpuCount)
      throw new PolykernelError('invalid', `the kernel has ${this.vcpuCount} vCPUs, not ${placement.vcpuCpus.length}`, {
        field: 'placement.vcpuCpus',
        value: placement.vcpuCpus,
      });
    makeGroups(this.id, placement);
    const vcpus = placement.vcpuCpus.map((cpu) => [cpu]);
    await this.move({ vcpus, others: housekeepingCpus ?? allowedCpus(), grouped: true });
  }

  /** Takes it off the CPUs it owned: to `vcpus`, one list per vCPU, or to where all other threads are. */
  protected async disown(
    vcpus: readonly (readonly number[])[] | undefined,
    housekeepingCpus: readonly number[] | undefined,
  ): Promise<void> {
    await this.move({ vcpus, others: housekeepingCpus ?? allowedCpus(), grouped: false });
    rejoinLimits(this.directory);
    await new InstanceGroups().remove(this.id);
  }

  private move(target: Target): Promise<void> {
    return moveThreads(this.directory, this.id, this.threadsOf, target);
  }

  async placementNow(): Promise<RealPlacement> {
    const real = await realPlacement(this.id, this.threadsOf(await inTurns(findThreads(this.directory))));
    return { ...real, limits: realLimits(this.directory) ?? null };
  }

  usage(atRest = false): HostUsage | undefined {
    if (this.ended || this.released) return undefined;
    this.usageReader ??= new UsageReader({
      directory: this.directory,
      threadsOf: this.threadsOf,
      childrenAreVcpu: this.childrenAreVcpu,
    });
    return this.usageReader.read(atRest);
  }

  ranNs(): number | undefined {
    return this.ended || this.released ? undefined : this.usageReader?.ranNs();
  }

  async stop(graceMs: number): Promise<KernelExit> {
    this.markStop();
    const patience = deadline(graceMs);
    const exit = await Promise.race([this.exited, this.askToPowerOff(graceMs), patience.passed]);
    patience.cancel();
    return exit ?? (await this.kill());
  }

  async kill(): Promise<KernelExit> {
    this.markStop();
    await this.endProgram();
    return await this.exited;
  }

  /** Ends the kernel. Where that is more than a process, that comes first. */
  protected async endProgram(): Promise<void> {
    await killShim(this.directory);
  }

  /** Once its process is gone: what else is to be given back, and what is known better than the process told. Does not reject. */
  protected async afterEnd(exit: KernelExit): Promise<KernelExit> {
    return exit;
  }

  /** Repeats what proves the end, until it has or the kernel is let go of. */
  protected untilProven(prove: () => Promise<void>): Promise<void> {
    return untilProven(prove, this.tellUnproven, this.watcher.signal);
  }

  /** What the console says of the panic that was seen in another way. */
  protected async panicText(): Promise<string> {
    return findPanic(await readConsoleTail(this.directory, PANIC_TAIL_BYTES)) ?? SILENT_PANIC;
  }

  console(): Promise<Duplex> {
    return connectShim(this.directory, 'console');
  }

  detach(): void {
    this.detached = true;
    this.watcher.abort();
    this.letGo(() => this.guest.detach());
  }

  /** Resolves when asking is of no use: the guest cannot be reached. */
  private async askToPowerOff(graceMs: number): Promise<undefined> {
    try {
      // A paused guest could not hear the request.
      await this.resume().catch(() => {});
      // The guest kills what ignores SIGTERM a little before the host would, and so still goes down cleanly.
      await this.guest.poweroff(Math.max(0, Math.round(graceMs - Math.min(1000, graceMs / 4))));
    } catch {
      return undefined;
    }
    // The guest said goodbye; what follows is its end or the deadline.
    return await new Promise<never>(() => {});
  }

  private async watch(): Promise<KernelExit> {
    const exit = await awaitProgramExit(this.directory, this.watcher.signal, this.tellUnproven);
    if (this.detached) return await new Promise<never>(() => {});
    this.ended = true;
    const explained = await explainExit(this.directory, exit, await this.observedEnd());
    // Giving back what it held takes a while.
    const { reason, message } = explained;
    if (reason !== 'stopped') this.say({ sign: reason, text: message });
    const ended = await this.afterEnd(explained);
    if (this.detached) return await new Promise<never>(() => {});
    await new InstanceGroups().remove(this.id);
    await removeLimits(this.directory);
    this.letGo(() =>
      this.guest.destroy(new PolykernelError(ended.reason === 'panic' ? 'panic' : 'kernel-died', ended.message)),
    );
    return ended;
  }

  private letGo(leaveGuest: () => void): void {
    if (this.released) return;
    this.released = true;
    this.usageReader?.close();
    leaveGuest();
    this.release();
  }

  /** On disk, so that a manager that finds the ended kernel later knows that the end was asked for. */
  private markStop(): void {
    try {
      writeFileSync(join(this.directory, STOP_MARK), '', { mode: 0o600 });
    } catch {
      // A full disk costs the reason, not the stop.
    }
  }
}

/**
 * What to tell of a launch whose shim does not run: undefined when it never did. Its control groups are removed, which a
 * manager that was killed could not do. Rejects with `internal` when something of it still lives.
 */
export async function endOfLaunch(
  spec: Pick<LaunchSpec, 'id' | 'directory'>,
  status: Exclude<ShimStatus, { state: 'running' }> | undefined,
): Promise<KernelExit | undefined> {
  await untilGone(spec.directory, undefined, ENDED_DEADLINE_MS);
  const ended = status && (await explainExit(spec.directory, status.state === 'exited' ? status : undefined));
  await new InstanceGroups().remove(spec.id);
  await removeLimits(spec.directory);
  return ended;
}

/**
 * Why the kernel of a launch directory ended, from its exit status, its console and whether a stop was requested. What its VMM has
 * `seen` counts more than the console, where a guest's programs can write whatever they like.
 * `exit` undefined: the shim was killed, and everything below it with it.
 */
export async function explainExit(
  directory: string,
  exit: ProgramExit | undefined,
  seen?: GuestEnd,
): Promise<KernelExit> {
  const status = exit === undefined ? { code: null, signal: 'SIGKILL' as const } : unwrapStatus(exit);
  if (existsSync(join(directory, STOP_MARK))) return { reason: 'stopped', ...status, message: 'stopped on request' };
  // A kernel that lost a process to that may still have panicked, or ended in some other way.
  const starved = status.code === 0 ? undefined : outOfMemory(directory);
  if (starved !== undefined) return { reason: 'died', ...status, message: starved };
  if (seen === 'power-off') return { reason: 'stopped', ...status, message: OFF };
  const tail = await readConsoleTail(directory, PANIC_TAIL_BYTES);
  const line = findPanic(tail) ?? (seen === 'panic' ? SILENT_PANIC : undefined);
  if (line !== undefined) return { reason: 'panic', ...status, message: line };
  if (exit === undefined)
    return { reason: 'died', ...status, message: 'the process that holds the kernel (pk-shim) was killed' };
  const reset =
    seen === 'reset' ? (findReset(tail) ?? 'without a word') : status.code === 0 ? findReset(tail) : undefined;
  // Nobody asked for it, and nothing boots again: its machine ends with a reset.
  if (reset !== undefined) return { reason: 'died', ...status, message: `the guest reset itself (${reset})` };
  if (status.code === 0) return { reason: 'stopped', ...status, message: OFF };
  const how = status.signal === null ? `ended with status ${status.code}` : `was killed by ${status.signal}`;
  return { reason: 'died', ...status, message: `the kernel's process ${how}` };
}

const SILENT_PANIC = 'its kernel panicked, and its console does not say why';
const OFF = 'the guest powered itself off';

/** bwrap ends with 128 + n when the program inside was killed by signal n: turns that back into the signal. */
export function unwrapStatus(exit: ProgramExit): ProgramExit {
  if (exit.code === null || exit.code <= 128 || exit.code > 128 + 64) return exit;
  return { code: null, signal: signalName(exit.code - 128) };
}

const PANIC = 'Kernel panic - not syncing';
/** Of a panic message; what a guest writes in its place can be as long as its console. */
const MAX_PANIC = 500;

/** What Linux says last before a reset, where it says something; undefined when its last word was of another end. */
function findReset(text: string): string | undefined {
  const last = [
    ...text.matchAll(/reboot: (?:Restarting system|Power down|System halted)|sysrq: (?:Resetting|Power Off)/g),
  ].at(-1)?.[0];
  return last === 'reboot: Restarting system' || last === 'sysrq: Resetting' ? last : undefined;
}

/** The last panic message of a console text, without time stamp and rule; undefined when there is none. */
export function findPanic(text: string): string | undefined {
  const lines = text.split('\n').flatMap((line) => {
    const at = line.indexOf(PANIC);
    return at < 0 ? [] : [{ line: line.slice(at, at + MAX_PANIC), isRule: line.includes('---[') }];
  });
  // The line `---[ end Kernel panic ... ]---` repeats the message.
  const found = lines.find(({ isRule }) => !isRule) ?? lines[0];
  if (found === undefined) return undefined;
  const message = found.line.trimEnd();
  return message.endsWith(']---') ? message.slice(0, -4).trimEnd() : message;
}

function deadline(milliseconds: number): { passed: Promise<undefined>; cancel: () => void } {
  let cancel = () => {};
  const passed = new Promise<undefined>((resolve) => {
    const timer = setTimeout(() => resolve(undefined), milliseconds);
    cancel = () => {
      clearTimeout(timer);
      resolve(undefined);
    };
  });
  return { passed, cancel };
}

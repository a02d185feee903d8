/** A kernel of User Mode Linux: pausing goes over its management console, everything else as with every kernel under pk-shim. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { forgetRegion, type GuestLink, tellSize, workersFirst } from '../../guest/index.ts';
import { PolykernelError } from '../../sys/errors.ts';
import type { HostPlacement, KernelSize, LaunchSpec, MemorySource, SharedRegion } from '../driver.ts';
import { limitToSize } from '../jail/limits.ts';
import { ShimKernel } from '../shim/kernel.ts';
import { launchThreads } from '../shim/launch-threads.ts';
import { askMonitor, askShim } from '../shim/shim.ts';
import { memoryOut, type OutOptions, setMemoryOut } from './balloon.ts';
import { UML_MCONSOLE, umlRegionSteps } from './command.ts';
import type { CpuChoice } from './cpu-choice.ts';
import { UmlRam } from './ram.ts';
import { umlThreads } from './threads.ts';

/** How long the agent may take to hear of a pause. A kernel that hangs is paused all the same. */
const PAUSE_PATIENCE_MS = 1_000;
/** For the pause to come, on a host that is busy: as long as the management console is waited for, and more. */
const WORKERS_FIRST_MS = 10_000;
/** Of its process's own memory besides the guest's, in a dump: the kernel's data takes a few. */
const MOST_OWN_BYTES = 64 * 2 ** 20;

export class UmlKernel extends ShimKernel {
  protected readonly threadsOf = umlThreads;
  protected readonly childrenAreVcpu = true;
  protected readonly vcpuCount = 1;
  readonly #cpus: CpuChoice;
  /** The CPU it was given because it owns none. */
  #chosen: number | undefined;
  readonly #regions: readonly SharedRegion[];
  readonly #machine: KernelSize;
  readonly #memoryChanges: boolean;

  constructor(spec: LaunchSpec, pid: number, guest: GuestLink, cpus: CpuChoice, chosen: number | undefined) {
    const { id, directory } = spec;
    super({ id, directory, pid, cloned: false, guest, release: () => this.#choose(undefined) });
    this.#cpus = cpus;
    this.#chosen = chosen;
    this.#regions = spec.regions;
    this.#machine = { cpus: spec.cpus, memoryBytes: spec.memoryBytes };
    this.#memoryChanges = spec.size?.memoryChanges ?? false;
  }

  async attachRegion(region: SharedRegion): Promise<void> {
    const step = umlRegionSteps(this.#regions).get(region.id);
    if (step === undefined) {
      throw new PolykernelError('unsupported', 'User Mode Linux gets shared memory at its start alone', {
        hint: 'Restart the instance.',
      });
    }
    await this.guest.configure([step]);
  }

  async detachRegion({ name }: Pick<SharedRegion, 'name'>): Promise<void> {
    await this.guest.configure([forgetRegion(name)]);
  }

  get memory(): MemorySource {
    const { memoryBytes } = this.#machine;
    const mostBytes = memoryBytes + MOST_OWN_BYTES;
    return {
      mostBytes,
      read: async (signal) => (await import('./dump.ts')).dumpUml(this.directory, memoryBytes, mostBytes, signal),
    };
  }

  beats(): number | undefined {
    return this.guest.beats;
  }

  async size(part?: keyof KernelSize): Promise<KernelSize> {
    const { cpus, memoryBytes } = this.#machine;
    const outBytes = this.#memoryChanges && part !== 'cpus' ? await memoryOut(this.guest, memoryBytes) : 0;
    return { cpus, memoryBytes: memoryBytes - outBytes };
  }

  resize(size: KernelSize): Promise<KernelSize> {
    return this.#become(size);
  }

  /** The size that it begins with, as resize(); as long as something comes out, until the signal aborts. */
  begin(size: KernelSize, starting: AbortSignal): Promise<KernelSize> {
    return this.#become(size, { starting });
  }

  async #become({ cpus, memoryBytes }: KernelSize, options?: OutOptions): Promise<KernelSize> {
    if (this.ended) throw new PolykernelError('kernel-died', 'the kernel has ended');
    const machine = this.#machine;
    if (cpus !== machine.cpus || (memoryBytes !== machine.memoryBytes && !this.#memoryChanges))
      throw new PolykernelError(
        'unsupported',
        'a kernel of User Mode Linux has one CPU, and the memory it was started with where it has no bounds for it',
      );
    if (!this.#memoryChanges) return machine;
    const outBytes = machine.memoryBytes - memoryBytes;
    const before = await memoryOut(this.guest, machine.memoryBytes);
    // What comes in is allowed first, what goes out afterwards.
    if (outBytes < before) limitToSize(this.directory, outBytes);
    await setMemoryOut(this.guest, machine.memoryBytes, { before, after: outBytes }, () => this.#ram(), options);
    limitToSize(this.directory, outBytes);
    // Asked in the same breath: the agent answers in turn.
    const [, now] = await Promise.all([this.guest.configure([tellSize({ cpus, memoryBytes })]), this.size()]);
    return now;
  }

  #ram(): Promise<UmlRam> {
    return UmlRam.open(umlThreads(launchThreads(this.directory)).vmm);
  }

  override async repin(
    placement: HostPlacement | undefined,
    housekeepingCpus: readonly number[] | undefined,
  ): Promise<void> {
    if (placement !== undefined) {
      this.#choose(undefined);
      return super.repin(placement, housekeepingCpus);
    }
    // One CPU in any case: a UML kernel that wanders between CPUs is several times slower.
    const stays = this.#chosen !== undefined && (housekeepingCpus?.includes(this.#chosen) ?? true);
    if (!stays) this.#choose(this.#cpus.take(housekeepingCpus));
    await this.disown([[this.#chosen!]], housekeepingCpus);
  }

  #choose(cpu: number | undefined): void {
    if (this.#chosen !== undefined) this.#cpus.release(this.#chosen);
    this.#chosen = cpu;
  }

  async pause(): Promise<void> {
    const patience = AbortSignal.timeout(PAUSE_PATIENCE_MS);
    await this.guest.configure([workersFirst(WORKERS_FIRST_MS)], patience).catch(() => {});
    await halt(this.directory);
  }

  resume(): Promise<void> {
    return wake(this.directory);
  }
}

/** Has the kernel of `directory` go on, if it is paused. Rejects as askMonitor() does, and with `internal`. */
export const wake = (directory: string): Promise<void> => tell(directory, 'go');

/** Has it stand still, without a word to its guest. Rejects as wake(). */
export const halt = (directory: string): Promise<void> => tell(directory, 'stop');

async function tell(directory: string, command: 'stop' | 'go'): Promise<void> {
  const isOld = existsSync(join(directory, 'reply'));
  const answer = isOld
    ? await askShim(directory, `mconsole ${UML_MCONSOLE} ${command}`)
    : await askMonitor(directory, command, (line) => ANSWERS[command === 'go' ? 'stop' : 'go'].test(line));
  if (ANSWERS[command].test(answer)) return;
  const reason = answer.replace(/^error /, '').trim() || 'the kernel ended meanwhile';
  throw new PolykernelError('internal', `the management console refused "${command}": ${reason}`);
}

/** The second where an earlier command, nobody waited for it, was heard after all. */
const ANSWERS = { stop: /^(?:ok stopped|error Already stopped)/, go: /^(?:ok\s*$|error Not stopped)/ };

/** A kernel of User Mode Linux: pausing goes over its management console, everything else as with every kernel under pk-shim. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { forgetRegion, type GuestLink, workersFirst } from '../../guest/index.ts';
import { PolykernelError } from '../../sys/errors.ts';
import type { HostPlacement, KernelSize, LaunchSpec, MemorySource, SharedRegion } from '../driver.ts';
import { ShimKernel } from '../shim/kernel.ts';
import { askMonitor, askShim } from '../shim/shim.ts';
import { UML_MCONSOLE, umlRegionSteps } from './command.ts';
import type { CpuChoice } from './cpu-choice.ts';
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
  readonly #cpus: CpuChoice;
  /** The CPU it was given because it owns none. */
  #chosen: number | undefined;
  readonly #regions: readonly SharedRegion[];
  readonly #size: KernelSize;

  constructor(spec: LaunchSpec, pid: number, guest: GuestLink, cpus: CpuChoice, chosen: number | undefined) {
    const { id, directory } = spec;
    super({ id, directory, pid, cloned: false, guest, release: () => this.#choose(undefined) });
    this.#cpus = cpus;
    this.#chosen = chosen;
    this.#regions = spec.regions;
    this.#size = { cpus: spec.cpus, memoryBytes: spec.memoryBytes };
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
    const { memoryBytes } = this.#size;
    const mostBytes = memoryBytes + MOST_OWN_BYTES;
    return {
      mostBytes,
      read: async (signal) => (await import('./dump.ts')).dumpUml(this.directory, memoryBytes, mostBytes, signal),
    };
  }

  beats(): number | undefined {
    return this.guest.beats;
  }

  async size(): Promise<KernelSize> {
    return this.#size;
  }

  async resize({ cpus, memoryBytes }: KernelSize): Promise<void> {
    if (this.ended) throw new PolykernelError('kernel-died', 'the kernel has ended');
    const { cpus: mostCpus, memoryBytes: mostBytes } = this.#size;
    if (cpus === mostCpus && memoryBytes === mostBytes) return;
    throw new PolykernelError(
      'unsupported',
      'a kernel of User Mode Linux has one CPU, and the memory it was started with',
    );
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
    await this.mconsole('stop');
  }

  resume(): Promise<void> {
    return this.mconsole('go');
  }

  private async mconsole(command: 'stop' | 'go'): Promise<void> {
    const isOld = existsSync(join(this.directory, 'reply'));
    const answer = isOld
      ? await askShim(this.directory, `mconsole ${UML_MCONSOLE} ${command}`)
      : await askMonitor(this.directory, command, (line) => ANSWERS[command === 'go' ? 'stop' : 'go'].test(line));
    if (ANSWERS[command].test(answer)) return;
    const reason = answer.replace(/^error /, '').trim() || 'the kernel ended meanwhile';
    throw new PolykernelError('internal', `the management console refused "${command}": ${reason}`);
  }
}

/** The second where an earlier command, nobody waited for it, was heard after all. */
const ANSWERS = { stop: /^(?:ok stopped|error Already stopped)/, go: /^(?:ok\s*$|error Not stopped)/ };

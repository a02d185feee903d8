/** A kernel beside the host's, as the daemon holds it. pk-mktty stands for it under the shim, and ends when it has. */
import { type GuestLink, readShortFile } from '../../guest/index.ts';
import { PolykernelError } from '../../sys/errors.ts';
import type { HostPlacement, HostUsage, KernelExit, KernelSize, LaunchSpec, RealPlacement } from '../driver.ts';
import { ShimKernel } from '../shim/kernel.ts';
import type { HostThread, LaunchThreads } from '../shim/launch-threads.ts';
import { readConsoleTail } from '../shim/shim.ts';
import type { MachinePart } from './machine.ts';
import { type LaunchRecord, writeRecord } from './record.ts';
import { MEMORY_BLOCK_BYTES } from './traits.ts';

export interface SpawnOptions {
  spec: LaunchSpec;
  pid: number;
  guest: GuestLink;
  part: MachinePart;
  record: LaunchRecord;
  /** Gives back what it had of the machine, once it has ended; rejects while its CPUs or its memory may still be used. */
  giveBack: () => Promise<void>;
}

/** Only the end of the text matters. */
const LAST_WORDS_BYTES = 4096;

export class SpawnKernel extends ShimKernel {
  readonly #options: SpawnOptions;
  /** Physical ids as it was told them, one for each CPU of its machine; where it owns fewer, the first stands for those that it lacks. */
  #told: readonly number[];

  constructor(options: SpawnOptions) {
    const { spec, pid, guest } = options;
    super({ id: spec.id, directory: spec.directory, pid, cloned: false, guest });
    this.#options = options;
    this.#told = options.record.cpus;
  }

  /** None: they run on no thread of the host. */
  protected readonly childrenAreVcpu = false;

  protected get vcpuCount(): number {
    return this.#told.length;
  }
  protected readonly threadsOf = (threads: readonly HostThread[]): LaunchThreads => ({
    vcpus: [],
    others: threads.map(({ tid }) => tid),
    vmm: threads.at(-1)?.pid ?? 0,
  });

  protected override async endProgram(): Promise<void> {
    const { part, record } = this.#options;
    if (record.id !== null) await part.instance.halt(record.id, 0);
    await super.endProgram();
    // Its process may be gone already, and what it has not: who asks again is to hear why.
    if (this.ended) await this.#options.giveBack();
  }

  protected override async afterEnd(exit: KernelExit): Promise<KernelExit> {
    await this.untilProven(this.#options.giveBack);
    if (exit.reason !== 'stopped' || exit.message !== 'the guest powered itself off') return exit;
    // That its CPUs are parked is all that the host kernel says: why, its console does, or nobody.
    const said = await readConsoleTail(this.directory, LAST_WORDS_BYTES);
    if (/^(\[[ .\d]+\] )?reboot: /m.test(said)) return exit;
    return {
      ...exit,
      reason: 'died',
      code: null,
      message: 'the kernel ended by itself, and its console does not say why',
    };
  }

  async pause(): Promise<void> {
    throw new PolykernelError('unsupported', 'a kernel with CPUs of its own cannot be paused', {
      hint: 'Stop it, or use --driver qemu.',
    });
  }

  /** It never rests. */
  async resume(): Promise<void> {}

  async attachRegion(): Promise<void> {
    throw noRegions();
  }

  async detachRegion(): Promise<void> {
    throw noRegions();
  }

  async size(): Promise<KernelSize> {
    this.#mustRun();
    const { instance, memory } = this.#options.part;
    return { cpus: instance.cpus().length, memoryBytes: memory.bytes() };
  }

  async resize({ cpus, memoryBytes }: KernelSize): Promise<KernelSize> {
    this.#mustRun();
    const own = this.#own;
    if (cpus < 1 || cpus > own.length)
      throw new PolykernelError('invalid', `the kernel can have 1 to ${own.length} CPUs, not ${cpus}`, {
        field: 'cpus',
        value: cpus,
      });
    await this.#setCpus(own.slice(0, cpus));
    const { part, record } = this.#options;
    if (memoryBytes !== part.memory.bytes()) {
      const block = await this.#blockBytes();
      await part.host.turns.run(() => part.memory.resize(memoryBytes, { block, node: record.node }));
    }
    return this.size();
  }

  /** What memory comes and goes in: as its kernel says. */
  async #blockBytes(): Promise<number> {
    let text = '';
    try {
      text = await readShortFile(this.guest, '/sys/devices/system/memory/block_size_bytes');
    } catch (error) {
      if (!(error instanceof PolykernelError) || error.code !== 'not-found') throw error;
    }
    return /^[0-9a-f]{1,10}\s*$/.test(text) ? Number.parseInt(text, 16) : MEMORY_BLOCK_BYTES;
  }

  override async repin(placement: HostPlacement | undefined): Promise<void> {
    this.#mustRun();
    // It owns nothing any more in the books; there is nowhere else that it could run.
    if (placement === undefined) return;
    const wanted = this.#options.part.cpus.physical(placement.vcpuCpus);
    if (wanted.length !== this.#told.length)
      throw new PolykernelError('invalid', `the kernel has ${this.#told.length} CPUs, not ${wanted.length}`, {
        field: 'placement.vcpuCpus',
        value: placement.vcpuCpus,
      });
    if (wanted[0] !== this.#told[0]) throw unsupported('a kernel cannot leave the CPU on which it booted');
    const late = wanted.filter((cpu) => !this.#options.record.bootPool.includes(cpu));
    if (late.length > 0)
      throw unsupported('a kernel can only be given CPUs that were in the pool when it booted', placement.vcpuCpus);
    const { part, record } = this.#options;
    const now = part.instance.cpus().length;
    await this.#setCpus([...new Set(wanted)].slice(0, now));
    this.#told = wanted;
    record.cpus = wanted;
    writeRecord(this.directory, record);
  }

  override async placementNow(): Promise<RealPlacement> {
    this.#mustRun();
    const { cpus, instance, memory } = this.#options.part;
    const { others } = await super.placementNow();
    const bytes = memory.bytes();
    const { node } = this.#options.record;
    return {
      vcpus: cpus.logical(inOrder(this.#told, instance.cpus())).map((cpu) => [cpu]),
      others,
      memory: [{ node, bytes }],
      hugePageBytes: 0,
      groups: [],
      limits: null,
      mostCpus: null,
    };
  }

  /** The host kernel accounts nothing to it: what it does is seen from within alone. */
  override usage(atRest = false): HostUsage | undefined {
    const usage = super.usage(atRest);
    return usage && { ...usage, vcpus: this.#told.map(() => ({ ranNs: 0, waitedNs: 0 })), residentBytes: null };
  }

  override ranNs(): undefined {
    return undefined;
  }

  #setCpus(cpus: readonly number[]): Promise<void> {
    const { part } = this.#options;
    return part.host.turns.run(() => part.setCpus(cpus));
  }

  get #own(): readonly number[] {
    return [...new Set(this.#told)];
  }

  #mustRun(): void {
    if (this.ended || this.#options.part.instance.status !== 'active')
      throw new PolykernelError('kernel-died', 'the kernel has ended');
  }
}

/** The CPUs that there are, in the order in which they were told; one that was not comes in the place of one that is missing. */
function inOrder(told: readonly number[], there: readonly number[]): number[] {
  const others = there.filter((cpu) => !told.includes(cpu));
  return told.map((cpu) => (there.includes(cpu) ? cpu : (others.shift() ?? cpu)));
}

const noRegions = (): PolykernelError =>
  new PolykernelError('unsupported', 'kernels beside each other have no memory in common');

const unsupported = (message: string, value?: readonly number[]): PolykernelError =>
  new PolykernelError('unsupported', message, {
    field: 'placement.vcpuCpus',
    value,
    hint: 'Restart the instance: it boots on these then.',
  });

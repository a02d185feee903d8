/** A fake kernel as its manager holds it. */
import { type Duplex, PassThrough } from 'node:stream';
import { forgetRegion, type GuestLink, showRegion } from '../../guest/index.ts';
import { PolykernelError } from '../../sys/errors.ts';
import type {
  HostPlacement,
  HostUsage,
  Kernel,
  KernelExit,
  KernelFunctions,
  KernelSize,
  KernelWord,
  RealPlacement,
  SharedRegion,
} from '../driver.ts';
import { type FakeMachine, STOPPED } from './machine.ts';

export class FakeKernel implements Kernel {
  readonly pid = 0;
  readonly cloned = false;
  readonly guest: GuestLink;
  readonly exited: Promise<KernelExit>;
  readonly #machine: FakeMachine;
  /** All it can ever have; undefined = others can come. */
  readonly #bootRegions: ReadonlySet<string> | undefined;
  functions?: KernelFunctions;
  #detached = false;

  constructor(machine: FakeMachine, guest: GuestLink, bootRegions: ReadonlySet<string> | undefined) {
    this.#machine = machine;
    this.#bootRegions = bootRegions;
    this.guest = guest;
    this.exited = machine.exited.then((exit) => {
      if (this.#detached) return new Promise<never>(() => {});
      guest.destroy();
      return exit;
    });
  }

  async stop(graceMs: number): Promise<KernelExit> {
    this.#machine.guest.resume();
    this.guest.poweroff(graceMs).catch(() => {});
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, graceMs + 100);
    });
    await Promise.race([this.#machine.exited, late]);
    clearTimeout(timer);
    return this.kill();
  }

  kill(): Promise<KernelExit> {
    this.#machine.end(STOPPED);
    return this.#machine.exited;
  }

  heed(listener: (word: KernelWord) => void): void {
    this.#machine.heeded = listener;
  }

  async pause(): Promise<void> {
    this.#machine.guest.pause();
  }
  async resume(): Promise<void> {
    this.#machine.guest.resume();
  }

  async resize(size: KernelSize): Promise<KernelSize> {
    const { cpus, memoryBytes } = this.#machine.size;
    if (this.#machine.neverGives && (size.cpus < cpus || size.memoryBytes < memoryBytes)) await this.#machine.exited;
    if (this.#machine.exit !== undefined) throw new PolykernelError('kernel-died', 'the kernel has ended');
    if (this.#machine.refuses && size.cpus < cpus) throw new PolykernelError('invalid', 'a CPU cannot be put offline');
    this.#machine.resize(size);
    return this.size();
  }

  async size(): Promise<KernelSize> {
    if (this.#machine.exit !== undefined) throw new PolykernelError('kernel-died', 'the kernel has ended');
    if (this.#machine.refuses) throw new PolykernelError('protocol', 'the guest does not say which CPUs are online');
    return this.#machine.size;
  }

  async repin(placement: HostPlacement | undefined, housekeepingCpus: readonly number[] | undefined): Promise<void> {
    if (this.#machine.exit !== undefined) throw new PolykernelError('kernel-died', 'the kernel has ended');
    this.#machine.place(placement, housekeepingCpus);
  }

  async placementNow(): Promise<RealPlacement> {
    if (this.#machine.exit !== undefined) throw new PolykernelError('kernel-died', 'the kernel has ended');
    return this.#machine.placement;
  }

  usage(): HostUsage | undefined {
    return this.#machine.exit === undefined ? { ...this.#machine.guest.usage } : undefined;
  }

  ranNs(): number | undefined {
    return this.usage()?.vcpus.reduce((sum, { ranNs }) => sum + ranNs, 0);
  }

  async attachRegion(region: SharedRegion): Promise<void> {
    if (this.#bootRegions?.has(region.id) === false)
      throw new PolykernelError('unsupported', 'this kernel gets shared memory at its start alone');
    await this.guest.configure([showRegion(region, { kind: 'pci', offset: 0 })]);
  }

  async detachRegion({ name }: Pick<SharedRegion, 'name'>): Promise<void> {
    await this.guest.configure([forgetRegion(name)]);
  }

  async console(): Promise<Duplex> {
    if (this.#machine.exit !== undefined) throw new PolykernelError('kernel-died', 'the kernel has ended');
    // What is typed comes back, as from a terminal's echo.
    const console = new PassThrough();
    this.#machine.consoles.add(console);
    console.on('close', () => this.#machine.consoles.delete(console));
    return console;
  }

  detach(): void {
    this.#detached = true;
    this.guest.detach();
  }
}

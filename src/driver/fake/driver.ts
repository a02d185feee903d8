/**
 * Kernels in memory, for tests and for benches of everything above the drivers. They live in a registry of this process,
 * keyed by launch directory, so that a second FakeDriver finds them as a second daemon would find real ones; a state file
 * in the directory lets even another process play on. Names make what goes wrong:
 *
 * | host name of the guest | |
 * | --- | --- |
 * | `never-ready` | its agent never answers: `not-ready` at the deadline |
 * | `boot-panic` | the kernel panics as it boots |
 * | `boot-death` | the kernel's process dies as it boots |
 * | `never-acks` | hears nothing after the handshake, and acknowledges nothing (hostile.ts) |
 * | `mute` | hears nothing after the handshake, but acknowledges |
 * | `never-gives` | lets go of no CPU, no memory and no PCI function, and says nothing of it |
 * | `never-takes` | sees no PCI function that is plugged in |
 * | `floods`, `giant-replies`, `garbage` | from the first program on also writes bells, endless answers, or no frames |
 *
 * | program (programs.ts) | |
 * | --- | --- |
 * | `crash`, or `/proc/sysrq-trigger` in a line of `sh -c` | the kernel panics |
 * | `die` | the kernel's process ends with status 1 |
 * | `stubborn` | says `ready` and goes on after SIGTERM |
 * | `not-executable`, any name it does not know | EACCES, ENOENT |
 *
 * | file of the guest | |
 * | --- | --- |
 * | below `/read-only/` | cannot be written: EACCES |
 */
import { randomUUID } from 'node:crypto';
import { appendFileSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Duplex, PassThrough } from 'node:stream';
import type { Check } from '../../core/check.ts';
import { forgetRegion, GuestLink, networkSteps, showRegion } from '../../guest/index.ts';
import type { Clock } from '../../sys/clock.ts';
import { PolykernelError } from '../../sys/errors.ts';
import type {
  Driver,
  HostPlacement,
  HostUsage,
  Kernel,
  KernelExit,
  KernelFunctions,
  KernelSize,
  KernelWord,
  LaunchSpec,
  RealPlacement,
  SharedRegion,
} from '../driver.ts';
import type { Availability, Capabilities } from '../traits.ts';
import { fakeFunctions } from './functions.ts';
import { FakeGuest } from './guest.ts';
import { FAKE, FAKE_CAPABILITIES } from './traits.ts';

/** Host names that make a launch fail. */
const SENTINELS = {
  neverReady: 'never-ready',
  bootPanic: 'boot-panic',
  bootDeath: 'boot-death',
  neverGives: 'never-gives',
  neverTakes: 'never-takes',
} as const;

const STOPPED: KernelExit = { reason: 'stopped', code: null, signal: 'SIGKILL', message: 'stopped on request' };
const PANIC = 'Kernel panic - not syncing: sysrq triggered crash';

const machines = new Map<string, FakeMachine>();

/** The kernel's process is killed from outside. False when there is none. */
export function killFakeKernel(directory: string): boolean {
  const machine = machines.get(directory);
  machine?.end({
    reason: 'died',
    code: null,
    signal: 'SIGKILL',
    message: "the kernel's process was killed by SIGKILL",
  });
  return machine !== undefined;
}

/** Directories whose kernel runs, for leak checks. */
export function fakeKernels(): string[] {
  return [...machines].filter(([, machine]) => machine.exit === undefined).map(([directory]) => directory);
}

/** The guest of a kernel that runs. */
export const fakeGuest = (directory: string): FakeGuest | undefined => machines.get(directory)?.guest;

/** What its VMM sees of a kernel that runs. */
export const tellOfFakeKernel = (directory: string, word: KernelWord): void => machines.get(directory)?.heeded?.(word);

/** The part that outlives a manager. */
class FakeMachine {
  readonly guest: FakeGuest;
  readonly neverGives: boolean;
  readonly neverTakes: boolean;
  readonly exited: Promise<KernelExit>;
  readonly consoles = new Set<PassThrough>();
  heeded: ((word: KernelWord) => void) | undefined;
  placement: RealPlacement = {
    ...{ vcpus: [], others: [], memory: [], hugePageBytes: 0, mostCpus: null },
    ...{ groups: [], limits: null },
  };
  /** PCI functions that it has. */
  readonly functions: Set<string>;
  readonly #cpus: number;
  size: KernelSize;
  exit: KernelExit | undefined;
  #resolve!: (exit: KernelExit) => void;
  readonly #directory: string;
  readonly #bootId: string;

  constructor(spec: LaunchSpec, bootId: string) {
    this.#directory = spec.directory;
    this.#bootId = bootId;
    this.neverGives = spec.hostname === SENTINELS.neverGives;
    this.neverTakes = spec.hostname === SENTINELS.neverTakes;
    this.#cpus = spec.cpus;
    this.functions = new Set(spec.devices?.map(({ address }) => address));
    this.size = spec.size ?? { cpus: spec.cpus, memoryBytes: spec.memoryBytes };
    this.place(spec.placement, spec.housekeepingCpus);
    this.exited = new Promise((resolve) => {
      this.#resolve = resolve;
    });
    this.guest = new FakeGuest({
      hostname: spec.hostname,
      bootId,
      release: '6.1.0-fake',
      cpus: spec.cpus,
      onPanic: () => {
        this.print(`${PANIC}\n`);
        this.end({ reason: 'panic', code: null, signal: 'SIGABRT', message: PANIC });
      },
      onDie: () =>
        this.end({ reason: 'died', code: 1, signal: null, message: "the kernel's process ended with status 1" }),
      onPoweroff: () => this.end({ reason: 'stopped', code: 0, signal: null, message: 'the guest powered itself off' }),
      onConsole: (text) => this.print(text),
      onSessions: () => this.save(),
    });
    this.resize(this.size);
    this.print('Linux version 6.1.0-fake\n');
    this.save();
  }

  resize(size: KernelSize): void {
    this.size = { cpus: size.cpus, memoryBytes: size.memoryBytes };
    const online = size.cpus === 1 ? '0' : `0-${size.cpus - 1}`;
    this.guest.files.set('/sys/devices/system/cpu/online', { mode: 0o444, content: Buffer.from(`${online}\n`) });
  }

  place(placement: HostPlacement | undefined, housekeepingCpus: readonly number[] | undefined): void {
    const others = housekeepingCpus ?? [];
    if (placement !== undefined && placement.vcpuCpus.length !== this.#cpus) {
      throw new PolykernelError('invalid', `the kernel has ${this.#cpus} vCPUs, not ${placement.vcpuCpus.length}`, {
        field: 'placement.vcpuCpus',
        value: placement.vcpuCpus,
      });
    }
    const vcpus = placement?.vcpuCpus.map((cpu) => [cpu]) ?? Array.from({ length: this.#cpus }, () => others);
    const { memory = [], hugePageBytes = null, mostCpus = null } = placement ?? {};
    const bytes = memory.reduce((sum, each) => sum + each.bytes, 0);
    this.placement = {
      vcpus,
      others,
      memory,
      hugePageBytes: hugePageBytes === null ? 0 : bytes,
      mostCpus,
      groups: [],
      limits: null,
    };
  }

  print(text: string): void {
    try {
      appendFileSync(join(this.#directory, 'console.log'), text);
    } catch {
      // The directory is gone, or the disk is full.
    }
    for (const console of this.consoles) console.write(text);
  }

  save(): void {
    if (this.exit !== undefined || !existsSync(this.#directory)) return;
    writeFileSync(statePath(this.#directory), JSON.stringify({ bootId: this.#bootId, sessions: this.guest.running() }));
  }

  end(exit: KernelExit): void {
    if (this.exit !== undefined) return;
    this.exit = exit;
    machines.delete(this.#directory);
    this.guest.halt();
    rmSync(statePath(this.#directory), { force: true });
    try {
      writeFileSync(exitPath(this.#directory), JSON.stringify(exit));
    } catch {
      // Removed meanwhile: nobody will ask.
    }
    for (const console of this.consoles) console.end();
    this.#resolve(exit);
  }
}

const statePath = (directory: string) => join(directory, 'fake.json');
const exitPath = (directory: string) => join(directory, 'exit.json');

class FakeKernel implements Kernel {
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
    this.#machine.resize(size);
    return this.size();
  }

  async size(): Promise<KernelSize> {
    if (this.#machine.exit !== undefined) throw new PolykernelError('kernel-died', 'the kernel has ended');
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

export interface FakeDriverOptions {
  capabilities?: Partial<Capabilities>;
  availability?: Availability;
  /** For the deadlines of its links. */
  clock?: Clock;
  /** How long a boot takes; default 0. */
  bootMs?: number;
}

export class FakeDriver implements Driver {
  readonly traits = FAKE;
  readonly #options: FakeDriverOptions;

  constructor(options: FakeDriverOptions = {}) {
    this.#options = options;
  }

  async probe(): Promise<Availability> {
    return this.#options.availability ?? { available: true, reason: 'kernels in memory, for tests' };
  }

  capabilities(): Capabilities {
    return { ...FAKE_CAPABILITIES, ...this.#options.capabilities };
  }

  async start(spec: LaunchSpec, signal: AbortSignal, progress: (phase: string) => void = () => {}): Promise<Kernel> {
    progress('booting kernel');
    await this.#boot(spec, signal);
    const machine = new FakeMachine(spec, randomUUID());
    machines.set(spec.directory, machine);
    if (spec.hostname === SENTINELS.bootPanic || spec.hostname === SENTINELS.bootDeath) {
      const panic = spec.hostname === SENTINELS.bootPanic;
      machine.end({ reason: panic ? 'panic' : 'died', code: null, signal: 'SIGABRT', message: PANIC });
      throw new PolykernelError(
        panic ? 'panic' : 'kernel-died',
        panic ? PANIC : "the kernel's process ended with status 1",
      );
    }
    progress('preparing the guest');
    const kernel = await this.#take(machine, spec);
    for (const region of spec.regions) await kernel.attachRegion(region);
    if (spec.network !== null) await kernel.guest.configure(networkSteps('eth0', spec.network));
    return kernel;
  }

  async attach(spec: LaunchSpec): Promise<Kernel | KernelExit | undefined> {
    const machine = machines.get(spec.directory) ?? revive(spec);
    if (machine !== undefined) return this.#take(machine, spec);
    if (!existsSync(exitPath(spec.directory))) return undefined;
    return JSON.parse(readFileSync(exitPath(spec.directory), 'utf8')) as KernelExit;
  }

  async destroy(directory: string): Promise<void> {
    machines.get(directory)?.end(STOPPED);
    // That of another process that has ended.
    rmSync(statePath(directory), { force: true });
  }

  async checks(): Promise<readonly Check[]> {
    return [];
  }

  consoleLog(directory: string): string {
    return join(directory, 'console.log');
  }

  async prewarm(): Promise<void> {}

  async #take(machine: FakeMachine, spec: LaunchSpec): Promise<Kernel> {
    machine.guest.resume();
    const guest = new GuestLink({ name: spec.name, ...(this.#options.clock && { clock: this.#options.clock }) });
    await guest.attach(machine.guest.connect());
    const { sharedMemory, devices } = this.capabilities();
    const kernel = new FakeKernel(
      machine,
      guest,
      sharedMemory === 'boot' ? new Set(spec.regions.map(({ id }) => id)) : undefined,
    );
    if (devices === 'hotplug') kernel.functions = fakeFunctions(machine);
    return kernel;
  }

  /** Waits as long as a boot takes, up to the deadline. */
  #boot(spec: LaunchSpec, signal: AbortSignal): Promise<void> {
    const never = spec.hostname === SENTINELS.neverReady;
    // A boot is never over within a millisecond, not even here: the conformance suite asks for one that is too slow.
    const bootMs = never ? Infinity : Math.max(this.#options.bootMs ?? 0, 2);
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason);
      const onAbort = () => {
        clearTimeout(timer);
        reject(signal.reason);
      };
      const late = () =>
        reject(
          new PolykernelError(
            'not-ready',
            `${spec.name} was not ready within ${spec.readyTimeoutMs} ms; its console ends:\nLinux version 6.1.0-fake`,
          ),
        );
      const timer = setTimeout(
        () => {
          signal.removeEventListener('abort', onAbort);
          if (bootMs > spec.readyTimeoutMs) late();
          else resolve();
        },
        Math.min(bootMs, spec.readyTimeoutMs),
      );
      signal.addEventListener('abort', onAbort, { once: true });
    });
  }
}

/** A kernel that another process started, from its state file. Its programs begin anew. */
function revive(spec: LaunchSpec): FakeMachine | undefined {
  if (!existsSync(statePath(spec.directory))) return undefined;
  const state = JSON.parse(readFileSync(statePath(spec.directory), 'utf8')) as {
    bootId: string;
    sessions: Record<string, string[]>;
  };
  const machine = new FakeMachine(spec, state.bootId);
  machines.set(spec.directory, machine);
  for (const [id, command] of Object.entries(state.sessions)) machine.guest.run(Number(id), command);
  return machine;
}

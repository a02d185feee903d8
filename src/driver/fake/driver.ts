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
 * | `refuses` | lets go of no CPU, and says so; of what it has nothing |
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
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Check } from '../../core/check.ts';
import { GuestLink, networkSteps } from '../../guest/index.ts';
import type { Clock } from '../../sys/clock.ts';
import { PolykernelError } from '../../sys/errors.ts';
import type { Driver, Kernel, KernelExit, KernelWord, LaunchSpec, Leave } from '../driver.ts';
import { isLeftPaused } from '../leave.ts';
import type { Availability, Capabilities } from '../traits.ts';
import { fakeFunctions } from './functions.ts';
import type { FakeGuest } from './guest.ts';
import { FakeKernel } from './kernel.ts';
import { exitPath, FakeMachine, PANIC, SENTINELS, STOPPED, statePath } from './machine.ts';
import { FAKE, FAKE_CAPABILITIES } from './traits.ts';

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

/** Directories below `home` whose kernel runs in this process, for leak checks. */
export function fakeKernels(home: string): string[] {
  const running = [...machines].filter(([, machine]) => machine.exit === undefined).map(([directory]) => directory);
  return running.filter((directory) => directory.startsWith(home));
}

/** The guest of a kernel that runs. */
export const fakeGuest = (directory: string): FakeGuest | undefined => machines.get(directory)?.guest;

/** What its VMM sees of a kernel that runs. */
export const tellOfFakeKernel = (directory: string, word: KernelWord): void => machines.get(directory)?.heeded?.(word);

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
    const machine = newMachine(spec, randomUUID());
    if (spec.hostname === SENTINELS.bootPanic || spec.hostname === SENTINELS.bootDeath) {
      const panic = spec.hostname === SENTINELS.bootPanic;
      machine.end({ reason: panic ? 'panic' : 'died', code: null, signal: 'SIGABRT', message: PANIC });
      throw new PolykernelError(
        panic ? 'panic' : 'kernel-died',
        panic ? PANIC : "the kernel's process ended with status 1",
      );
    }
    progress('preparing the guest');
    const aborted = Promise.withResolvers<never>();
    aborted.promise.catch(() => {});
    const giveUp = () => aborted.reject(signal.reason);
    signal.addEventListener('abort', giveUp, { once: true });
    if (signal.aborted) giveUp();
    try {
      return await Promise.race([this.#setUp(machine, spec), aborted.promise]);
    } catch (error) {
      machine.end(STOPPED);
      throw error;
    } finally {
      signal.removeEventListener('abort', giveUp);
    }
  }

  async #setUp(machine: FakeMachine, spec: LaunchSpec): Promise<Kernel> {
    const kernel = await this.#take(machine, spec);
    for (const region of spec.regions) await kernel.attachRegion(region);
    if (spec.network !== null) await kernel.guest.configure(networkSteps('eth0', spec.network));
    return kernel;
  }

  async attach(
    spec: LaunchSpec,
    seen?: (pid: number) => void,
    leave?: Leave,
  ): Promise<Kernel | KernelExit | undefined> {
    const machine = machines.get(spec.directory) ?? revive(spec);
    if (machine !== undefined) {
      seen?.(0);
      try {
        return await this.#take(machine, spec, leave?.signal);
      } catch (error) {
        if (isLeftPaused(leave)) machine.guest.pause();
        throw error;
      }
    }
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

  async #take(machine: FakeMachine, spec: LaunchSpec, signal?: AbortSignal): Promise<Kernel> {
    machine.guest.resume();
    const guest = new GuestLink({ name: spec.name, ...(this.#options.clock && { clock: this.#options.clock }) });
    await guest.attach(machine.guest.connect(), signal);
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

function newMachine(spec: LaunchSpec, bootId: string): FakeMachine {
  const machine = new FakeMachine(spec, bootId, () => machines.delete(spec.directory));
  machines.set(spec.directory, machine);
  return machine;
}

/** A kernel that another process started, from its state file. Its programs begin anew. */
function revive(spec: LaunchSpec): FakeMachine | undefined {
  if (!existsSync(statePath(spec.directory))) return undefined;
  const state = JSON.parse(readFileSync(statePath(spec.directory), 'utf8')) as {
    bootId: string;
    sessions: Record<string, string[]>;
  };
  const machine = newMachine(spec, state.bootId);
  for (const [id, command] of Object.entries(state.sessions)) machine.guest.run(Number(id), command);
  return machine;
}

/**
 * Kernels beside the host's own, each with CPUs and memory that are its alone and no hypervisor: on a host kernel with the multikernel
 * patches. docs/multikernel.md has what was tried on what.
 *
 * A launch takes from the host what its placement says, gives it to an instance of the host kernel, loads and boots a kernel there, and
 * gives everything back at its end. What it is about to take is written down first (record.ts), so that any later process can give it
 * back. CPUs are never taken from an instance that is not proven to have ended.
 */

import { randomBytes } from 'node:crypto';
import { closeSync, copyFileSync, openSync, rmSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { Check } from '../../core/check.ts';
import { GuestLink, rootOps } from '../../guest/index.ts';
import { asPolykernelError, PolykernelError } from '../../sys/errors.ts';
import { cacheDirectory, nativeBinary } from '../../sys/paths.ts';
import { checkLaunch } from '../check.ts';
import { type Driver, type Kernel, type KernelExit, type LaunchSpec, type Leave, NotGone } from '../driver.ts';
import { attachSignal } from '../leave.ts';
import { endOfLaunch } from '../shim/kernel.ts';
import { askMonitor, connectShim, consoleLogPath, killShim, launchShim, shimStatus } from '../shim/shim.ts';
import { earlyEnd, startFailure } from '../shim/start.ts';
import type { Availability, Capabilities } from '../traits.ts';
import { hostProblem, type MultikernelHost, thisHost } from './host.ts';
import { KernelFiles } from './interface.ts';
import { SpawnKernel } from './kernel.ts';
import { MachinePart } from './machine.ts';
import { PACKED_ROOT, packRoot } from './pack-root.ts';
import { instanceName, type LaunchRecord, readRecord } from './record.ts';
import { checkSameSource, checkSpawnKernel, commandLine } from './spawn-image.ts';
import { CAPABILITIES, MULTIKERNEL } from './traits.ts';

const INITRAMFS = 'initramfs';

export interface MultikernelDriverOptions {
  /** In place of this machine: a model of one. */
  host?: MultikernelHost;
  /** Keeps which CPU is which. */
  cache?: string;
}

export class MultikernelDriver implements Driver {
  readonly traits = MULTIKERNEL;
  readonly #options: MultikernelDriverOptions;
  #files: KernelFiles | undefined;

  constructor(options: MultikernelDriverOptions = {}) {
    this.#options = options;
  }

  async probe(): Promise<Availability> {
    const problem = this.#problem();
    if (problem !== undefined) return { available: false, ...problem };
    // Each CPU that leaves takes its number along.
    this.#part('probe').cpus.read();
    return { available: true, reason: 'the kernel of this machine gives parts of it to others' };
  }

  #problem(): { reason: string; hint: string } | undefined {
    if (this.#options.host === undefined) {
      if (process.arch !== 'x64')
        return {
          reason: `kernels can be stopped by force on x86-64 alone, and this machine is ${process.arch}`,
          hint: 'Use --driver qemu.',
        };
      const problem = hostProblem();
      if (problem !== undefined) return problem;
      if (process.getuid?.() !== 0) return { reason: 'only root may part a machine', hint: 'Run the daemon as root.' };
    }
    if (new KernelFiles(this.#host().root).format() === 'second') return undefined;
    return {
      reason:
        'the kernel of this machine has the multikernel patches in their form before August 2026, with other trees',
      hint: 'Build v7.0-mk2 or later (docs/multikernel.md).',
    };
  }

  capabilities(): Capabilities {
    return CAPABILITIES;
  }

  async checks(): Promise<readonly Check[]> {
    return (await import('./checks.ts')).multikernelChecks();
  }

  consoleLog(directory: string): string {
    return consoleLogPath(directory);
  }

  async prewarm(): Promise<void> {}

  async start(spec: LaunchSpec, signal: AbortSignal, progress: (phase: string) => void = () => {}): Promise<Kernel> {
    checkLaunch(spec, { traits: MULTIKERNEL, capabilities: CAPABILITIES }, Number.POSITIVE_INFINITY);
    checkSpawnKernel(spec.image.kernel);
    commandLine(spec.append);
    const timeout = AbortSignal.timeout(spec.readyTimeoutMs);
    const both = AbortSignal.any([signal, timeout]);
    const guest = new GuestLink({ name: spec.name });
    const watch = new AbortController();
    const problem = this.#problem();
    if (problem !== undefined) throw new PolykernelError('unavailable', problem.reason, { hint: problem.hint });
    const machine = this.#part(instanceName(spec.id));
    checkSameSource(spec.image.version, machine.host.release);
    try {
      progress('taking a part of the machine');
      const record = await machine.host.turns.run(() => machine.take(spec, both));
      progress('packing the root');
      const initramfs = await makeInitramfs(spec);
      progress('booting kernel');
      const { pid } = await this.#boot(spec, machine, record, { initramfs, signal: both });
      const ended = earlyEnd(spec.directory, watch.signal);
      await Promise.race([setUp(spec, guest, both, progress), ended]);
      const kernel = this.#kernel(spec, machine, record, { pid, guest });
      // It booted with the least that it may ever have: that stays.
      if (spec.size !== undefined) await Promise.race([kernel.resize(spec.size), ended]);
      return kernel;
    } catch (error) {
      guest.destroy();
      // First what keeps it running: what is left of it is its own.
      const left = await machine.host.turns
        .run(() => machine.giveBack(spec.directory))
        .catch((reason: unknown) => reason);
      rmSync(join(spec.directory, INITRAMFS), { force: true });
      const cause = await startFailure(spec, error, { signal, timeout });
      if (left === undefined) throw cause;
      const { message, hint } = asPolykernelError(left, 'giving back what it had of the machine');
      throw new NotGone(message, { value: spec.name, hint, cause });
    } finally {
      watch.abort();
    }
  }

  async attach(
    spec: LaunchSpec,
    seen?: (pid: number) => void,
    leave?: Leave,
  ): Promise<Kernel | KernelExit | undefined> {
    const status = await shimStatus(spec.directory);
    const record = readRecord(spec.directory);
    if (status?.state !== 'running' || record === undefined || !this.#isHost()) {
      await this.destroy(spec.directory, spec.id);
      return await endOfLaunch(spec, await endedStatus(spec.directory));
    }
    seen?.(status.pid);
    const machine = this.#part(record.name);
    const guest = new GuestLink({ name: spec.name });
    try {
      await guest.attach(await connectShim(spec.directory, 'control'), attachSignal(leave));
    } catch (error) {
      guest.destroy();
      const now = await endedStatus(spec.directory);
      if (now?.state !== 'exited') throw error;
      await this.destroy(spec.directory, spec.id);
      return await endOfLaunch(spec, now);
    }
    return this.#kernel(spec, machine, record, { pid: status.pid, guest });
  }

  /** On a machine that is none of these hosts, or is none any more, there are no instances. */
  async destroy(directory: string, id?: string): Promise<void> {
    const name = readRecord(directory)?.name ?? (id === undefined ? undefined : instanceName(id));
    if (name !== undefined && this.#isHost()) await this.#host().turns.run(() => this.#part(name).giveBack(directory));
    await killShim(directory);
    rmSync(join(directory, INITRAMFS), { force: true });
  }

  #isHost(): boolean {
    return this.#options.host !== undefined || hostProblem() === undefined;
  }

  #host(): MultikernelHost {
    return this.#options.host ?? thisHost();
  }

  #part(name: string): MachinePart {
    const host = this.#host();
    this.#files ??= new KernelFiles(host.root);
    return new MachinePart(host, name, this.#options.cache ?? cacheDirectory(), this.#files);
  }

  /** The console is listened to before the kernel boots: what it says meanwhile is kept for nobody. */
  async #boot(
    spec: LaunchSpec,
    machine: MachinePart,
    record: LaunchRecord,
    { initramfs, signal }: { initramfs: string; signal: AbortSignal },
  ): Promise<{ pid: number }> {
    const { host, files, instance } = machine;
    const id = record.id!;
    const second = host.second(id);
    const image = { kernel: spec.image.kernel, initramfs, commandLine: commandLine(spec.append, second !== null) };
    await host.turns.run(() => instance.load(id, image));
    // It is in memory now.
    rmSync(initramfs, { force: true });
    const launched = await launchShim({
      directory: spec.directory,
      argv: [
        ...[nativeBinary('pk-mktty'), host.tty, String(id), files.statusPath(instance.name)],
        ...(second === null ? [] : [second]),
      ],
      held: spec.rootLease,
      cpus: spec.housekeepingCpus,
      signal,
    });
    await askMonitor(spec.directory, 'attached?');
    await host.turns.run(async () => {
      signal.throwIfAborted();
      await machine.boot(spec.directory, record, spec.spareCpus ?? []);
    });
    return launched;
  }

  #kernel(
    spec: LaunchSpec,
    machine: MachinePart,
    record: LaunchRecord,
    { pid, guest }: { pid: number; guest: GuestLink },
  ): Kernel {
    const giveBack = async () => {
      if (this.#isHost()) await machine.host.turns.run(() => machine.giveBack(spec.directory));
    };
    return new SpawnKernel({ spec, pid, guest, record, giveBack, part: machine });
  }
}

/** The image's own archive, or what was put in its place, and behind it the root's: a kernel unpacks both. */
async function makeInitramfs({ directory, image, root, memoryBytes, size, initramfs }: LaunchSpec): Promise<string> {
  const path = join(directory, INITRAMFS);
  copyFileSync(initramfs ?? image.initramfs, path);
  const output = openSync(path, 'a', 0o600);
  try {
    // Archives begin at multiples of 4.
    writeSync(output, Buffer.alloc((4 - (statSync(path).size % 4)) % 4));
    // Packed and unpacked it is in the kernel's memory together, for a moment.
    await packRoot(root, output, Math.floor((size?.leastMemoryBytes ?? memoryBytes) / 3));
  } finally {
    closeSync(output);
  }
  return path;
}

async function setUp(
  spec: LaunchSpec,
  guest: GuestLink,
  signal: AbortSignal,
  progress: (phase: string) => void,
): Promise<void> {
  await guest.attach(await connectShim(spec.directory, 'control'), signal);
  progress('setting up files');
  const ops = rootOps({
    exportMount: undefined,
    root: { directory: PACKED_ROOT },
    volumes: [],
    modules: spec.image.modules.overlay ?? [],
    memoryBytes: spec.memoryBytes,
    hostname: spec.hostname,
    machineId: spec.id,
    seed: randomBytes(32),
    timeMs: Date.now(),
  });
  await guest.configure(ops, signal);
}

async function endedStatus(directory: string) {
  const status = await shimStatus(directory);
  return status?.state === 'running' ? undefined : status;
}

/**
 * QEMU: the guest is a virtual machine of its own, with KVM where it works and emulated (TCG) elsewhere.
 *
 * Booting under emulation takes seconds, so by default a kernel is a clone of a template (template.ts): QEMU maps the
 * memory of a kernel that has booted already, privately, and goes on from there. What distinguishes one clone from the
 * next (entropy, clock, names, files) is set by the same steps that set up a booted kernel.
 */
import { randomBytes } from 'node:crypto';
import { totalmem } from 'node:os';
import { join } from 'node:path';
import type { Check } from '../../core/check.ts';
import { GuestLink, rootOps } from '../../guest/index.ts';
import { PolykernelError } from '../../sys/errors.ts';
import { cacheDirectory, nativeBinary } from '../../sys/paths.ts';
import { allowedCpus } from '../../sys/process.ts';
import { findTool, toolHint } from '../../sys/tools.ts';
import { checkLaunch } from '../check.ts';
import {
  type Driver,
  type HostPlacement,
  type Kernel,
  type KernelExit,
  type LaunchSpec,
  type Leave,
  UnusableTemplate,
} from '../driver.ts';
import { temporaryDirectories } from '../jail/host.ts';
import { attachSignal, isLeftPaused } from '../leave.ts';
import { machineRoot } from '../machine-root.ts';
import { destroyShimLaunch } from '../shim/destroy.ts';
import { endOfLaunch } from '../shim/kernel.ts';
import { launchThreads } from '../shim/launch-threads.ts';
import { makeGroups, moveThreads } from '../shim/placement.ts';
import { connectShim, consoleLogPath, shimStatus } from '../shim/shim.ts';
import { earlyEnd, startFailure } from '../shim/start.ts';
import type { Availability, Capabilities } from '../traits.ts';
import { type AcceleratorChoice, chooseAccelerator } from './accelerator.ts';
import { abandonTemplate, buildTemplate } from './build-template.ts';
import { qemuCapabilities } from './capabilities.ts';
import { takeCard } from './card.ts';
import { checkQemuLaunch } from './check-launch.ts';
import { CLONE_DEADLINE_MS, canClone, cloneParts, isBrokenClone, isClone, loadClone, markClone } from './clone.ts';
import type { Accelerator, Machine } from './command.ts';
import { guestModules, guestRoot } from './guest-root.ts';
import { tscKhz } from './host-clock.ts';
import { QemuKernel } from './kernel.ts';
import { launchQemu, preload } from './launch.ts';
import { findQemu, isInstalled, type QemuProgram } from './program.ts';
import { type Template, TemplateStore, templateKey } from './template.ts';
import { qemuThreads } from './threads.ts';
import { QEMU } from './traits.ts';

const MIB = 2 ** 20;
/** Until the watchdog of a kernel that has just been started is fed. */
const ARM_AFTER_MS = 200;
/** How long prewarm() lets the template boot. */
const PREWARM_TIMEOUT_MS = 120_000;

export interface QemuDriverOptions {
  /** Keeps templates and what was found out about KVM. */
  cache?: string;
  /** Most templates kept on disk. */
  templateLimit?: number;
}

/** Called with the name of each phase of a start as it begins. */
type Progress = (phase: string) => void;

export class QemuDriver implements Driver {
  readonly traits = QEMU;
  readonly #cache: string;
  readonly #templates: TemplateStore;
  #program: Promise<QemuProgram> | undefined;
  #choice: Promise<AcceleratorChoice> | undefined;
  #accelerator: Accelerator = 'tcg';
  #tscKhz: Promise<number | null> | undefined;

  constructor(options: QemuDriverOptions = {}) {
    this.#cache = options.cache ?? cacheDirectory();
    this.#templates = new TemplateStore(join(this.#cache, 'templates'), options.templateLimit, abandonTemplate);
  }

  async probe(signal?: AbortSignal): Promise<Availability> {
    if (process.arch !== 'x64') {
      return { available: false, reason: `the kernel images are for x86-64, and this machine is ${process.arch}` };
    }
    if (!isInstalled())
      return { available: false, reason: 'QEMU is not installed', hint: toolHint('qemu-system-x86_64') };
    if (findTool('bwrap') === undefined) {
      return { available: false, reason: 'bubblewrap (bwrap) is missing', hint: toolHint('bwrap') };
    }
    try {
      for (const name of ['pk-shim', 'pk-cell', 'pk-jail', 'pk-ram.so', 'pk-tsc'] as const) nativeBinary(name);
      await this.#templates.sweep();
      const { accelerator, reason } = await this.#chosen(signal);
      return { available: true, reason, accelerator };
    } catch (error) {
      if (!(error instanceof PolykernelError) || error.code !== 'unavailable') throw error;
      return { available: false, reason: error.message, hint: error.hint };
    }
  }

  capabilities(): Capabilities {
    return qemuCapabilities(this.#accelerator);
  }

  async checks(): Promise<readonly Check[]> {
    return (await import('./checks.ts')).qemuChecks();
  }

  consoleLog(directory: string): string {
    return consoleLogPath(directory);
  }

  async prewarm(
    spec: Pick<LaunchSpec, 'image' | 'cpus' | 'memoryBytes' | 'housekeepingCpus' | 'identity'>,
    signal: AbortSignal,
  ): Promise<void> {
    const context = await this.#context(spec, signal);
    this.#check(spec);
    await this.#template({ ...spec, readyTimeoutMs: PREWARM_TIMEOUT_MS }, context, signal, () => {});
  }

  async start(spec: LaunchSpec, signal: AbortSignal, progress: Progress = () => {}): Promise<Kernel> {
    const timeout = AbortSignal.timeout(spec.readyTimeoutMs);
    try {
      const context = await this.#context(spec, AbortSignal.any([signal, timeout]));
      this.#check(spec);
      checkQemuLaunch(spec);
      if (canClone(spec)) return await this.#clone(spec, context, { signal, timeout }, progress);
      progress('booting kernel');
      return await this.#boot(spec, context, { signal, timeout }, progress);
    } catch (error) {
      // What is told well already stays; the rest is the deadline or the caller's abort before there was a process.
      throw error instanceof PolykernelError ? error : await startFailure(spec, error, { signal, timeout });
    }
  }

  async attach(
    spec: LaunchSpec,
    seen?: (pid: number) => void,
    leave?: Leave,
  ): Promise<Kernel | KernelExit | undefined> {
    const status = await shimStatus(spec.directory);
    if (status?.state !== 'running') return await endOfLaunch(spec, status);
    seen?.(status.pid);
    const guest = new GuestLink({ name: spec.name, isPort: true });
    const kernel = new QemuKernel({
      id: spec.id,
      directory: spec.directory,
      pid: status.pid,
      cloned: isClone(spec.directory),
      guest,
      ...machineOf(spec),
    });
    try {
      await kernel.resume();
      await guest.attach(await connectShim(spec.directory, 'control'), attachSignal(leave));
      if (spec.image.modules.watchdog !== undefined) void kernel.arm();
      return kernel;
    } catch (error) {
      if (isLeftPaused(leave)) await kernel.pause().catch(() => {});
      kernel.detach();
      const now = await shimStatus(spec.directory);
      if (now?.state === 'exited') return await endOfLaunch(spec, now);
      throw error;
    }
  }

  destroy(directory: string, id?: string): Promise<void> {
    return destroyShimLaunch(directory, id);
  }

  #check(spec: Parameters<typeof checkLaunch>[0]): void {
    checkLaunch(spec, { traits: QEMU, capabilities: this.capabilities() }, totalmem());
  }

  #qemu(): Promise<QemuProgram> {
    this.#program ??= findQemu().catch((error) => {
      this.#program = undefined;
      throw error;
    });
    return this.#program;
  }

  async #chosen(signal?: AbortSignal): Promise<AcceleratorChoice> {
    const qemu = await this.#qemu();
    this.#choice ??= chooseAccelerator(qemu, join(this.#cache, 'kvm-probe.json'), signal).catch((error) => {
      this.#choice = undefined;
      throw error;
    });
    const choice = await this.#choice;
    this.#accelerator = choice.accelerator;
    return choice;
  }

  #hostClock(signal?: AbortSignal): Promise<number | null> {
    this.#tscKhz ??= tscKhz(join(this.#cache, 'host-clock.json'), signal).catch((error) => {
      this.#tscKhz = undefined;
      throw error;
    });
    return this.#tscKhz;
  }

  async #context(
    spec: Pick<LaunchSpec, 'cpus' | 'memoryBytes'> & Partial<Pick<LaunchSpec, 'size'>>,
    signal: AbortSignal,
  ): Promise<Context> {
    const [qemu, { accelerator }] = await Promise.all([this.#qemu(), this.#chosen(signal)]);
    const memoryBytes = Math.floor(spec.memoryBytes / MIB) * MIB;
    const tscKhz = accelerator === 'tcg' ? await this.#hostClock(signal) : null;
    return {
      qemu,
      machine: { accelerator, tscKhz, cpus: spec.cpus, memoryBytes, balloon: spec.size?.memoryChanges ?? false },
    };
  }

  async #clone(spec: LaunchSpec, context: Context, why: Why, progress: Progress): Promise<Kernel> {
    const signal = AbortSignal.any([why.signal, why.timeout]);
    const template = await this.#template(spec, context, signal, progress);
    progress('cloning template');
    let hasAnswered = false;
    const answered = () => {
      hasAnswered = true;
    };
    try {
      return await this.#run(spec, template, context, { ...why, answered }, progress);
    } catch (error) {
      if (signal.aborted || !isBrokenClone(error)) throw error;
      progress(hasAnswered ? 'clone failed' : 'template unusable, discarding it');
      await this.#templates.failed(template.key, spec.id, hasAnswered);
      throw new UnusableTemplate(error);
    }
  }

  async #boot(spec: LaunchSpec, context: Context, why: Why, progress: Progress): Promise<Kernel> {
    let runs = false;
    try {
      const kernel = await this.#run(spec, undefined, context, why, progress);
      runs = true;
      return kernel;
    } finally {
      await this.#templates.booted(spec.id, runs);
    }
  }

  #template(
    spec: Pick<LaunchSpec, 'image' | 'readyTimeoutMs' | 'housekeepingCpus' | 'identity'>,
    context: Context,
    signal: AbortSignal,
    progress: Progress,
  ): Promise<Template> {
    const { qemu, machine } = context;
    const key = templateKey({ ...machine, imageDigest: spec.image.digest, qemuVersion: qemu.version });
    const { image, readyTimeoutMs, housekeepingCpus, identity } = spec;
    const request = { ...context, image, readyTimeoutMs, housekeepingCpus, identity };
    return this.#templates.ensure(
      key,
      machine.memoryBytes,
      (directory) => buildTemplate(directory, request, signal),
      signal,
      () => progress('building template (first start of this image with these settings)'),
    );
  }

  /** Starts QEMU and sets up its guest. Rejects with nothing left running. */
  async #run(
    spec: LaunchSpec,
    template: Template | undefined,
    context: Context,
    why: Why,
    progress: Progress,
  ): Promise<Kernel> {
    const signal = AbortSignal.any([why.signal, why.timeout]);
    const guest = new GuestLink({ name: spec.name, isPort: true });
    const done = new AbortController();
    try {
      const launch = { directory: spec.directory, ...context, spec };
      const { pid } =
        template === undefined
          ? await launchQemu({ ...launch, start: 'boot', ...preload() }, signal)
          : await launchQemu({ ...launch, start: 'clone', ...cloneParts(template) }, signal);
      const cloned = template !== undefined;
      if (cloned) await markClone(spec.directory, template);
      const ended = earlyEnd(spec.directory, done.signal, signal);
      if (cloned) await Promise.race([ended, loadClone(spec)]);
      await Promise.race([ended, this.#setUp(spec, guest, cloned, why, progress)]);
      const kernel = new QemuKernel({ id: spec.id, directory: spec.directory, pid, cloned, guest, ...machineOf(spec) });
      // Nothing waits for it, and what the guest is started for comes first.
      if (spec.image.modules.watchdog !== undefined) setTimeout(() => void kernel.arm(), ARM_AFTER_MS).unref();
      if (spec.size !== undefined) await Promise.race([ended, kernel.resize(spec.size)]);
      if (spec.devices?.length) await Promise.race([ended, kernel.functions.tell()]);
      if (spec.regions.length > 0) progress('attaching shared memory');
      for (const region of spec.regions) await Promise.race([ended, kernel.attachRegion(region)]);
      if (spec.network !== null && !cloned) {
        progress('joining the network');
        await Promise.race([ended, kernel.joinNetwork(spec.network)]);
      }
      return kernel;
    } catch (error) {
      guest.destroy();
      throw await startFailure(spec, error, why);
    } finally {
      done.abort();
    }
  }

  async #setUp(spec: LaunchSpec, guest: GuestLink, cloned: boolean, why: Why, progress: Progress): Promise<void> {
    const signal = AbortSignal.any([why.signal, why.timeout]);
    const root = guestRoot(spec);
    const known = spec.root.kind === 'host' ? machineRoot(root.modulesOf) : undefined;
    const control = await connectShim(spec.directory, 'control');
    const soon = cloned ? AbortSignal.any([signal, AbortSignal.timeout(CLONE_DEADLINE_MS)]) : signal;
    await guest.attach(control, soon, false);
    why.answered?.();
    if (spec.placement !== undefined) await pinVcpus(spec, spec.placement);
    progress('setting up files');
    const ops = rootOps({
      ...root,
      known: await known,
      temporary: spec.root.kind === 'host' ? temporaryDirectories() : [],
      modules: guestModules(spec, cloned),
      memoryBytes: spec.memoryBytes,
      hostname: spec.hostname,
      machineId: spec.id,
      seed: randomBytes(32),
      timeMs: Date.now(),
    });
    const card = cloned && spec.network !== null ? takeCard(spec.network) : [];
    await guest.configure([...ops, ...card], signal);
  }
}

const machineOf = ({ cpus, memoryBytes, size, identity }: LaunchSpec) => ({
  identity,
  machine: { cpus, memoryBytes: Math.floor(memoryBytes / MIB) * MIB },
  hasBalloon: size?.memoryChanges ?? false,
});

interface Context {
  qemu: QemuProgram;
  machine: Machine;
}

interface Why {
  signal: AbortSignal;
  timeout: AbortSignal;
  /** Called when the guest's agent has answered. */
  answered?(): void;
}

/** The guest has answered, so that all its vCPUs have threads; it runs nothing of ours yet. */
async function pinVcpus({ id, directory, housekeepingCpus }: LaunchSpec, placement: HostPlacement): Promise<void> {
  const found = qemuThreads(launchThreads(directory)).vcpus.length;
  if (found !== placement.vcpuCpus.length)
    throw new PolykernelError('internal', `QEMU has threads for ${found} vCPUs, not for ${placement.vcpuCpus.length}`);
  makeGroups(id, placement);
  const vcpus = placement.vcpuCpus.map((cpu) => [cpu]);
  const others = housekeepingCpus ?? allowedCpus();
  await moveThreads(directory, id, qemuThreads, { vcpus, others, grouped: true });
}

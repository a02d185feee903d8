/**
 * QEMU: the guest is a virtual machine of its own, with KVM where it works and emulated (TCG) elsewhere.
 *
 * Booting under emulation takes seconds, so by default a kernel is a clone of a template (template.ts): QEMU maps the
 * memory of a kernel that has booted already, privately, and goes on from there. What distinguishes one clone from the
 * next (entropy, clock, names, files) is set by the same steps that set up a booted kernel.
 */
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { open, rm, writeFile } from 'node:fs/promises';
import { totalmem } from 'node:os';
import { join } from 'node:path';
import type { Check } from '../../core/check.ts';
import { GuestLink, rootOps } from '../../guest/index.ts';
import { PolykernelError } from '../../sys/errors.ts';
import { cacheDirectory, nativeBinary } from '../../sys/paths.ts';
import { allowedCpus } from '../../sys/process.ts';
import { findTool, toolHint } from '../../sys/tools.ts';
import { formatBytes } from '../../sys/units.ts';
import { checkLaunch } from '../check.ts';
import type { Driver, HostPlacement, Kernel, KernelExit, LaunchSpec } from '../driver.ts';
import { JAIL_VMM } from '../jail/jail.ts';
import { destroyShimLaunch } from '../shim/destroy.ts';
import { endOfLaunch } from '../shim/kernel.ts';
import { makeGroups, memoryNodes, moveThreads } from '../shim/placement.ts';
import { connectShim, consoleLogPath, shimStatus } from '../shim/shim.ts';
import { earlyEnd, startFailure } from '../shim/start.ts';
import type { Availability, Capabilities } from '../traits.ts';
import { type AcceleratorChoice, chooseAccelerator } from './accelerator.ts';
import { abandonTemplate, buildTemplate } from './build-template.ts';
import { tapObstacle } from './checks.ts';
import { type Accelerator, JAIL_RAM, type Machine } from './command.ts';
import { guestModules, guestRoot } from './guest-root.ts';
import { tscKhz } from './host-clock.ts';
import { QemuKernel } from './kernel.ts';
import { FIRST_FD, launchQemu, type QemuLaunch } from './launch.ts';
import { loadState } from './migration.ts';
import { findQemu, isInstalled, type QemuProgram } from './program.ts';
import { Qmp } from './qmp.ts';
import { type Template, TemplateStore, templateKey } from './template.ts';
import { qemuThreads } from './threads.ts';
import { QEMU } from './traits.ts';

const MIB = 2 ** 20;
/** An emulated kernel may have more CPUs than the host; beyond this they only wait for each other. */
const TCG_MAX_CPUS = 64;
/** The uncompressed kernel and its tables take 70 MiB. */
const MIN_MEMORY_BYTES = 128 * MIB;
const ATTACH_DEADLINE_MS = 10_000;
/** A sound clone answers within a second even on a loaded machine; one that does not is broken. */
const CLONE_DEADLINE_MS = 20_000;
/** How long prewarm() lets the template boot. */
const PREWARM_TIMEOUT_MS = 120_000;
const JAIL_PRELOAD = `${JAIL_VMM}/pk-ram.so`;
/** In the launch directory of a clone: the key of its template. */
const CLONE_MARK = 'template';
/** Left by a clone that did not start, and in the way of the boot that replaces it. */
const CLONE_FILES = ['exit', 'shim.pid', 'console.log', 'console.log.1', CLONE_MARK];

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
    const kvm = this.#accelerator === 'kvm';
    return {
      maxCpus: kvm ? allowedCpus().length : TCG_MAX_CPUS,
      minMemoryBytes: MIN_MEMORY_BYTES,
      maxMemoryBytes: totalmem(),
      sharedMemory: 'hotplug',
      pause: true,
      templateClone: true,
      shares: true,
      cpuResize: 'online',
      cpuMoves: 'all',
      memoryResize: 'balloon',
      memoryStepBytes: 2 ** 20,
      hugePages: true,
      devices: 'hotplug',
      networks: ['none', 'private', 'egress'],
      roots: ['host', 'directory', 'squashfs', 'ext4'],
      volumes: true,
      networkPort: 'tap',
      confinement: [
        kvm ? 'virtual machine (KVM)' : 'emulated processor (TCG)',
        'QEMU sandbox',
        'seccomp',
        'no capabilities over anything of the host',
        'own namespaces, private root',
        'ids of its own',
      ],
      isolation: kvm ? 'processor virtualisation (KVM)' : 'QEMU emulation, process boundary of the host kernel',
    };
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
      checkOwn(spec);
      if (canClone(spec)) {
        const kernel = await this.#clone(spec, context, { signal, timeout }, progress);
        if (kernel !== undefined) return kernel;
      }
      progress('booting kernel');
      return await this.#run(spec, undefined, context, { signal, timeout }, progress);
    } catch (error) {
      // What is told well already stays; the rest is the deadline or the caller's abort before there was a process.
      throw error instanceof PolykernelError ? error : await startFailure(spec, error, { signal, timeout });
    }
  }

  async attach(spec: LaunchSpec): Promise<Kernel | KernelExit | undefined> {
    const status = await shimStatus(spec.directory);
    if (status?.state !== 'running') return await endOfLaunch(spec, status);
    const guest = new GuestLink({ name: spec.name, isPort: true });
    const kernel = new QemuKernel({
      id: spec.id,
      directory: spec.directory,
      pid: status.pid,
      cloned: existsSync(join(spec.directory, CLONE_MARK)),
      guest,
      ...machineOf(spec),
    });
    try {
      await kernel.resume();
      await guest.attach(await connectShim(spec.directory, 'control'), AbortSignal.timeout(ATTACH_DEADLINE_MS));
      if (spec.image.modules.watchdog !== undefined) void kernel.arm();
      return kernel;
    } catch (error) {
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

  /** A clone, or undefined when that is not possible and the kernel has to be booted. */
  async #clone(spec: LaunchSpec, context: Context, why: Why, progress: Progress): Promise<Kernel | undefined> {
    const signal = AbortSignal.any([why.signal, why.timeout]);
    const template = await this.#template(spec, context, signal, progress);
    progress('cloning template');
    try {
      return await this.#run(spec, template, context, why, progress);
    } catch (error) {
      if (signal.aborted || !isBroken(error)) throw error;
      progress('template unusable, discarding it');
      await this.#templates.discard(template.key);
      await Promise.all(CLONE_FILES.map((name) => rm(join(spec.directory, name), { force: true })));
      return undefined;
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
    const state = template && (await open(template.state, 'r'));
    try {
      const launch = { directory: spec.directory, ...context, spec };
      const { pid } =
        template === undefined
          ? await launchQemu({ ...launch, start: 'boot', ...preload() }, signal)
          : await launchQemu({ ...launch, start: 'clone', ...cloneParts(template), fds: [state!.fd] }, signal);
      const cloned = template !== undefined;
      if (cloned) await writeFile(join(spec.directory, CLONE_MARK), template.key);
      const ended = earlyEnd(spec.directory, done.signal);
      if (cloned) await Promise.race([ended, load(spec.directory)]);
      await Promise.race([ended, this.#setUp(spec, guest, cloned, signal, progress)]);
      const kernel = new QemuKernel({ id: spec.id, directory: spec.directory, pid, cloned, guest, ...machineOf(spec) });
      // Nothing waits for it.
      if (spec.image.modules.watchdog !== undefined) void kernel.arm();
      if (spec.size !== undefined) await Promise.race([ended, kernel.resize(spec.size)]);
      if (spec.devices?.length) await Promise.race([ended, kernel.functions.tell()]);
      if (spec.regions.length > 0) progress('attaching shared memory');
      for (const region of spec.regions) await Promise.race([ended, kernel.attachRegion(region)]);
      if (spec.network !== null) {
        progress('joining the network');
        await Promise.race([ended, kernel.joinNetwork(spec.network)]);
      }
      return kernel;
    } catch (error) {
      guest.destroy();
      throw await startFailure(spec, error, why);
    } finally {
      done.abort();
      await state?.close();
    }
  }

  async #setUp(
    spec: LaunchSpec,
    guest: GuestLink,
    cloned: boolean,
    signal: AbortSignal,
    progress: Progress,
  ): Promise<void> {
    const control = await connectShim(spec.directory, 'control');
    await guest.attach(control, cloned ? AbortSignal.any([signal, AbortSignal.timeout(CLONE_DEADLINE_MS)]) : signal);
    if (spec.placement !== undefined) await pinVcpus(spec, spec.placement);
    progress('setting up files');
    const ops = rootOps({
      ...guestRoot(spec),
      modules: guestModules(spec, cloned),
      hostname: spec.hostname,
      machineId: spec.id,
      seed: randomBytes(32),
      timeMs: Date.now(),
    });
    await guest.configure(ops, signal);
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
}

/** The guest has answered, so that all its vCPUs have threads; it runs nothing of ours yet. */
async function pinVcpus({ id, directory, housekeepingCpus }: LaunchSpec, placement: HostPlacement): Promise<void> {
  makeGroups(id, placement);
  const vcpus = placement.vcpuCpus.map((cpu) => [cpu]);
  const others = housekeepingCpus ?? allowedCpus();
  await moveThreads(directory, id, qemuThreads, { vcpus, others, grouped: true });
}

/** What is put right in each QEMU that runs a workload. */
function preload(): Pick<QemuLaunch, 'binds' | 'env'> {
  return {
    binds: [{ source: nativeBinary('pk-ram.so'), target: JAIL_PRELOAD, access: 'read' }],
    env: { LD_PRELOAD: JAIL_PRELOAD },
  };
}

/** What QEMU needs in order to start as a clone. */
function cloneParts(template: Template): Pick<QemuLaunch, 'binds' | 'env'> {
  const { binds, env } = preload();
  return { binds: [{ source: template.ram, target: JAIL_RAM, access: 'read' }, ...binds], env };
}

/** Lets a clone read its state from the descriptor it has inherited. */
async function load(directory: string): Promise<void> {
  const monitor = await Qmp.open(await connectShim(directory, 'monitor'), randomBytes(4).toString('hex'));
  try {
    await loadState(monitor, `fd:${FIRST_FD}`);
  } finally {
    monitor.close();
  }
}

/** A clone's memory is a view of the template's: of ordinary pages, on whichever node they came to lie. */
function canClone({ append = [], initramfs, cold, placement, devices = [] }: LaunchSpec): boolean {
  // What the kernel is told at its boot a template has not been told.
  if (append.length > 0 || initramfs !== undefined) return false;
  // A template has no functions. Its clones can be given some once they run, when all of their memory becomes their own.
  if (cold || devices.length > 0 || placement?.hugePageBytes) return false;
  return placement === undefined || placement.memory.length === 0 || memoryNodes().length === 1;
}

/** Whether a clone failed in a way that another clone of the same template would fail, too. */
function isBroken(error: unknown): boolean {
  return error instanceof PolykernelError && ['kernel-died', 'panic', 'not-ready', 'protocol'].includes(error.code);
}

/** What no other driver is short of. */
function checkOwn({ image, network, placement, memoryBytes, size: asked, devices = [] }: LaunchSpec): void {
  if (asked?.memoryChanges && devices.length > 0) {
    throw new PolykernelError('unsupported', 'memory cannot be taken from a kernel that PCI functions write to', {
      field: 'elastic.memoryBytes',
      hint: 'Leave the bounds of its memory out, or release its functions.',
    });
  }
  if (asked?.memoryChanges && placement?.hugePageBytes) {
    throw new PolykernelError('unsupported', 'huge pages cannot be taken out of a kernel that runs', {
      field: 'elastic.memoryBytes',
      hint: 'Leave the bounds of its memory out, or the huge pages.',
    });
  }
  if (asked?.memoryChanges && image.modules.balloon === undefined) {
    throw new PolykernelError(
      'unsupported',
      `the image ${image.name} has no module for changing memory (virtio_balloon)`,
      {
        field: 'elastic.memoryBytes',
        value: image.name,
        hint: `Get it anew: pk image pull ${image.name}`,
      },
    );
  }
  const tap = network && tapObstacle();
  // What fails a start is told as one text.
  if (tap) throw new PolykernelError('unavailable', `${tap.reason}. ${tap.hint}`, { field: 'network' });
  if (network && image.modules.network === undefined) {
    throw new PolykernelError(
      'unsupported',
      `the image ${image.name} has no module for the network card (virtio_net)`,
      { field: 'network', value: image.name, hint: `Get it anew: pk image pull ${image.name}` },
    );
  }
  const hugePageBytes = placement?.hugePageBytes ?? null;
  if (hugePageBytes === null || memoryBytes % hugePageBytes === 0) return;
  const size = formatBytes(hugePageBytes);
  throw new PolykernelError('invalid', `${formatBytes(memoryBytes)} are no whole huge pages of ${size}`, {
    field: 'partition.memory',
    value: memoryBytes,
    hint: `Ask for a multiple of ${size}.`,
  });
}

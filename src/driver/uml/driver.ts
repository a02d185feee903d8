/**
 * User Mode Linux: the guest kernel is an ordinary process of the host, so it needs no virtualisation and boots in well
 * under 0.2 s. It has one CPU. Its process runs in a jail (jail.ts), because UML's own hostfs confines nothing.
 */
import { randomBytes } from 'node:crypto';
import { closeSync, openSync } from 'node:fs';
import { totalmem } from 'node:os';
import { join } from 'node:path';
import type { Check } from '../../core/check.ts';
import {
  GuestLink,
  inodesMost,
  isLineMemory,
  LineMemory,
  lineMemoryBytes,
  networkSteps,
  rootOps,
} from '../../guest/index.ts';
import type { KernelImage } from '../../image/contract.ts';
import { PolykernelError } from '../../sys/errors.ts';
import { SharedMemory } from '../../sys/memory.ts';
import { ownOpenFiles } from '../../sys/open-files.ts';
import { cacheDirectory, nativeBinary } from '../../sys/paths.ts';
import { allowedCpus } from '../../sys/process.ts';
import { findTool, toolHint, toolPath } from '../../sys/tools.ts';
import { formatBytes } from '../../sys/units.ts';
import { checkLaunch } from '../check.ts';
import type { Driver, Kernel, KernelExit, LaunchSpec, Leave } from '../driver.ts';
import { hostCovers, libraryBinds, ownPlaces, temporaryDirectories } from '../jail/host.ts';
import { type Bind, jailArgv } from '../jail/jail.ts';
import { applyLimits } from '../jail/limits.ts';
import { attachSignal, isLeftPaused } from '../leave.ts';
import { machineRoot } from '../machine-root.ts';
import { destroyShimLaunch } from '../shim/destroy.ts';
import { InstanceGroups } from '../shim/instance-groups.ts';
import { endOfLaunch } from '../shim/kernel.ts';
import { launchThreads } from '../shim/launch-threads.ts';
import { makeGroups, realPlacement } from '../shim/placement.ts';
import {
  connectShim,
  consoleLogPath,
  FIRST_PASSED_FD,
  launchShim,
  openShimMemory,
  readConsoleTail,
  shimStatus,
} from '../shim/shim.ts';
import { earlyEnd, startFailure } from '../shim/start.ts';
import type { Availability, Capabilities } from '../traits.ts';
import {
  UML_DIRECTORY,
  UML_INITRAMFS,
  UML_INTERFACE,
  UML_KERNEL,
  UML_NODE_NAME,
  UML_PRELOAD,
  UML_SLOTS,
  umlCommand,
  umlGuestRoot,
  umlMayFork,
  umlModules,
  umlRegionSteps,
  umlWishedModules,
} from './command.ts';
import { CpuChoice } from './cpu-choice.ts';
import { halt, UmlKernel, wake } from './kernel.ts';
import { umlLimits } from './limits.ts';
import { LpjCache } from './lpj.ts';
import { umlThreads } from './threads.ts';
import { UML } from './traits.ts';

const MIB = 2 ** 20;
/** Besides the guest's memory, the kernel keeps small files of its own there. */
const SHM_RESERVE_BYTES = 16 * MIB;
const SHM_FILES = 64;
/** With more the kernel has no room left for what it maps itself, and panics as it boots. */
const MOST_SHARED_BYTES = 1024 * MIB;

const CAPABILITIES: Capabilities = {
  maxCpus: 1,
  minMemoryBytes: 48 * MIB,
  maxMemoryBytes: 64 * 1024 * MIB,
  pause: true,
  templateClone: false,
  shares: true,
  cpuResize: 'none',
  cpuMoves: 'all',
  memoryResize: 'balloon',
  memoryStepBytes: 2 ** 20,
  // Its memory is a file in a tmpfs of its own, which has none.
  hugePages: false,
  devices: 'none',
  sharedMemory: 'boot',
  networks: ['none', 'private', 'egress'],
  roots: ['host', 'directory', 'squashfs', 'ext4'],
  volumes: true,
  networkPort: 'veth',
  confinement: [
    'guest kernel in user space',
    'seccomp',
    'no capabilities over anything of the host',
    'own namespaces, private root',
    'ids of its own',
  ],
  isolation: 'process boundary of the host kernel',
};

export interface UmlDriverOptions {
  /** Keeps what was measured about kernels. */
  cache?: string;
}

export class UmlDriver implements Driver {
  readonly traits = UML;
  readonly #cpus = new CpuChoice(allowedCpus);
  readonly #lpj: LpjCache;
  readonly #libraries = new Map<string, Promise<Bind[]>>();

  constructor(options: UmlDriverOptions = {}) {
    this.#lpj = new LpjCache(join(options.cache ?? cacheDirectory(), 'uml-lpj.json'));
  }

  async probe(): Promise<Availability> {
    if (process.arch !== 'x64') {
      return { available: false, reason: `User Mode Linux runs on x86-64 only, and this machine is ${process.arch}` };
    }
    if (findTool('bwrap') === undefined) {
      return { available: false, reason: 'bubblewrap (bwrap) is missing', hint: toolHint('bwrap') };
    }
    try {
      nativeBinary('pk-shim');
      nativeBinary('pk-cell');
      nativeBinary('pk-jail');
    } catch (error) {
      const { message, hint } = error as PolykernelError;
      return { available: false, reason: message, hint };
    }
    return { available: true, reason: 'runs as a jailed process, needs no virtualisation' };
  }

  capabilities(): Capabilities {
    return CAPABILITIES;
  }

  async checks(images: readonly Pick<KernelImage, 'kind'>[]): Promise<readonly Check[]> {
    return (await import('./checks.ts')).umlChecks(images);
  }

  consoleLog(directory: string): string {
    return consoleLogPath(directory);
  }

  async prewarm(): Promise<void> {}

  async start(spec: LaunchSpec, signal: AbortSignal, progress: (phase: string) => void = () => {}): Promise<Kernel> {
    checkLaunch(spec, { traits: UML, capabilities: CAPABILITIES }, totalmem());
    checkShared(spec);
    const timeout = AbortSignal.timeout(spec.readyTimeoutMs);
    const both = AbortSignal.any([signal, timeout]);
    const chosen = spec.placement === undefined ? this.#cpus.take(spec.housekeepingCpus) : undefined;
    const cpu = chosen ?? spec.placement!.vcpuCpus[0]!;
    const guest = new GuestLink({ name: spec.name });
    const watch = new AbortController();
    try {
      const lpj = await this.#lpj.get(spec.image.digest);
      if (spec.placement !== undefined) makeGroups(spec.id, spec.placement);
      const joins = spec.placement === undefined ? [] : new InstanceGroups().joinFiles(spec.id);
      const limits = applyLimits(spec, umlLimits(spec), spec.placement !== undefined);
      const argv = await this.#argv(spec, cpu, joins.length, limits.rlimits, lpj);
      progress('booting kernel');

      const launch = { directory: spec.directory, argv, env: findTool('bwrap')?.env, signal: both };
      const fds: number[] = [];
      let pid: number;
      try {
        for (const path of joins) fds.push(openSync(path, 'w'));
        for (const { path } of spec.regions) fds.push(openSync(path, 'r+'));
        ({ pid } = await launchShim({
          ...launch,
          joins: limits.joins,
          fds,
          packet: spec.network?.port,
          held: spec.rootLease,
          memoryBytes: lineSlots() === 0 ? undefined : lineMemoryBytes(UML_SLOTS),
          cpus: spec.housekeepingCpus,
        }));
      } finally {
        for (const fd of fds) closeSync(fd);
      }
      shareMemory(spec, guest);
      const ended = earlyEnd(spec.directory, watch.signal, both);
      await Promise.race([this.#setUp(spec, guest, both, progress), ended]);
      if (lpj === undefined) await this.#lpj.learn(spec, await readConsoleTail(spec.directory, MIB));
      const kernel = new UmlKernel(spec, pid, guest, this.#cpus, chosen);
      if (spec.size !== undefined) await Promise.race([ended, kernel.begin(spec.size, both)]);
      return kernel;
    } catch (error) {
      guest.destroy();
      if (chosen !== undefined) this.#cpus.release(chosen);
      throw await startFailure(spec, error, { signal, timeout });
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
    if (status?.state !== 'running') return await endOfLaunch(spec, status);
    seen?.(status.pid);
    const guest = new GuestLink({ name: spec.name });
    // One whose console does not answer may answer itself all the same.
    const awake = wake(spec.directory).catch(() => {});
    try {
      shareMemory(spec, guest);
      await guest.attach(await connectShim(spec.directory, 'control'), attachSignal(leave));
      await awake;
    } catch (error) {
      guest.destroy();
      if (isLeftPaused(leave)) await awake.then(() => halt(spec.directory)).catch(() => {});
      const now = await shimStatus(spec.directory);
      if (now?.state === 'exited') return await endOfLaunch(spec, now);
      throw error;
    }
    const cpu = spec.placement === undefined ? await presentCpu(spec) : undefined;
    if (cpu !== undefined) this.#cpus.occupy(cpu);
    return new UmlKernel(spec, status.pid, guest, this.#cpus, cpu);
  }

  destroy(directory: string, id?: string): Promise<void> {
    return destroyShimLaunch(directory, id);
  }

  async #argv(
    spec: LaunchSpec,
    cpu: number,
    joins: number,
    rlimits: Record<string, number>,
    lpj: number | undefined,
  ): Promise<string[]> {
    const { directory, identity } = spec;
    const { kernel } = spec.image;
    const { initramfs = spec.image.initramfs } = spec;
    if (!this.#libraries.has(kernel)) this.#libraries.set(kernel, libraryBinds(kernel));
    return jailArgv({
      identity,
      bwrap: toolPath('bwrap').path,
      pkCell: nativeBinary('pk-cell'),
      pkJail: nativeBinary('pk-jail'),
      filter: 'uml',
      noRandomize: true,
      mayFork: umlMayFork(spec.image),
      nodeName: UML_NODE_NAME,
      env: { LD_PRELOAD: UML_PRELOAD },
      rlimits,
      hostCpus: [cpu],
      memoryNodes: spec.placement?.memory.map(({ node }) => node),
      joinFds: Array.from({ length: joins }, (_, index) => FIRST_PASSED_FD + index),
      binds: [
        { source: kernel, target: UML_KERNEL, access: 'read' },
        { source: initramfs, target: UML_INITRAMFS, access: 'read' },
        ...(await this.#libraries.get(kernel)!),
        { source: nativeBinary('pk-xstate.so'), target: UML_PRELOAD, access: 'read' },
      ],
      root: spec.root,
      volumes: spec.volumes,
      moduleTree: spec.image.moduleTree,
      own: await ownPlaces(spec),
      covers: spec.root.kind === 'host' ? await hostCovers([...(spec.homes ?? []), ...spec.hiddenPaths]) : [],
      uncovered: spec.shownPaths,
      memoryFiles: [
        { target: '/dev/shm', bytes: spec.memoryBytes + SHM_RESERVE_BYTES, inodes: SHM_FILES, mode: '1777' },
        // Its management console; the rest is a file with its number.
        { target: join(directory, UML_DIRECTORY), bytes: MIB, inodes: 64, mode: '0700' },
      ],
      directory,
      program: umlCommand(spec, FIRST_PASSED_FD + joins, lpj, lineSlots()),
    });
  }

  async #setUp(
    spec: LaunchSpec,
    guest: GuestLink,
    signal: AbortSignal,
    progress: (phase: string) => void,
  ): Promise<void> {
    const root = umlGuestRoot(spec);
    const known = spec.root.kind === 'host' ? machineRoot(root.modulesOf) : undefined;
    await guest.attach(await connectShim(spec.directory, 'control'), signal);
    progress('setting up files');
    const ops = rootOps({
      ...root,
      known: await known,
      temporary: spec.root.kind === 'host' ? temporaryDirectories() : [],
      modules: umlModules(spec),
      memoryBytes: spec.memoryBytes,
      hostname: spec.hostname,
      machineId: spec.id,
      seed: randomBytes(32),
    });
    const network =
      spec.network === null ? [] : [...umlWishedModules(spec.image), ...networkSteps(UML_INTERFACE, spec.network)];
    // Of half the files that it may open: between two looks it opens more.
    const files = inodesMost(Math.floor(Math.min(umlLimits(spec).openFiles, ownOpenFiles().hard) / 2));
    await guest.configure([...ops, files, ...umlRegionSteps(spec.regions).values(), ...network], signal);
  }
}

/** None where the daemon could not map them. */
const lineSlots = (): number => (SharedMemory.isAvailable() ? UML_SLOTS : 0);

function shareMemory({ directory }: LaunchSpec, guest: GuestLink): void {
  const memory = openShimMemory(directory, isLineMemory);
  if (memory !== undefined) guest.share(new LineMemory(memory));
}

/** The CPU that an earlier manager chose. */
async function presentCpu({ directory, id }: LaunchSpec): Promise<number | undefined> {
  try {
    return (await realPlacement(id, umlThreads(launchThreads(directory)))).vcpus[0]?.[0];
  } catch {
    return undefined;
  }
}

/** What no other driver is short of. */
function checkShared({ regions }: Pick<LaunchSpec, 'regions'>): void {
  const shared = regions.reduce((sum, { bytes }) => sum + bytes, 0);
  if (shared <= MOST_SHARED_BYTES) return;
  const names = regions.map(({ name }) => name).join(', ');
  throw new PolykernelError(
    'unsupported',
    `User Mode Linux can see 1 GiB of shared memory, and the channels ${names} take ${formatBytes(shared)}`,
    { field: 'channels', value: shared, hint: `Make them smaller, or use --driver ${UML.instead}.` },
  );
}

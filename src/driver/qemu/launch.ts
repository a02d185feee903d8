/** Starts QEMU under pk-shim in a jail. */
import { nativeBinary } from '../../sys/paths.ts';
import { findTool, toolPath } from '../../sys/tools.ts';
import type { LaunchSpec } from '../driver.ts';
import { hostCovers, ownPlaces } from '../jail/host.ts';
import { type Bind, JAIL_VMM, type JailSpec, jailArgv } from '../jail/jail.ts';
import { applyLimits } from '../jail/limits.ts';
import { launchShim } from '../shim/shim.ts';
import { JAIL_INITRAMFS, JAIL_KERNEL, LINE_MEMORY_BYTES, type Machine, qemuCommand, type Start } from './command.ts';
import { functionParts } from './functions.ts';
import { qemuLimits } from './limits.ts';
import { kvmBind, type QemuProgram } from './program.ts';

export interface QemuLaunch {
  /** Gets the shim's files. */
  directory: string;
  qemu: QemuProgram;
  machine: Machine;
  start: Start;
  spec: Pick<
    LaunchSpec,
    'id' | 'image' | 'root' | 'volumes' | 'identity' | 'placement' | 'housekeepingCpus' | 'hiddenPaths' | 'shownPaths'
  > &
    Partial<Pick<LaunchSpec, 'append' | 'initramfs' | 'homes' | 'regions' | 'rootLease' | 'devices' | 'network'>>;
  /** What this start needs in the jail besides QEMU and the kernel. */
  binds: readonly Bind[];
  env?: Readonly<Record<string, string>>;
  /** What QEMU has open of these. */
  opened?: JailSpec['opened'];
}

/** The descriptor of the memory that pk-shim shares; what a clone reads its state from. */
const MEMORY_FD = 5;
export const STATE_FD = 6;
/** A little more than nothing: QEMU keeps the guest's memory elsewhere. */
const SHM_BYTES = 2 ** 20;
const JAIL_PRELOAD = `${JAIL_VMM}/pk-ram.so`;

/** Resolves with the pid of the jail once QEMU is being started. Rejects as launchShim() does. */
export async function launchQemu(launch: QemuLaunch, signal: AbortSignal): Promise<{ pid: number }> {
  const { qemu, machine, spec, start } = launch;
  const kvm = machine.accelerator === 'kvm' ? kvmBind() : undefined;
  const kernel: Bind[] =
    start === 'clone'
      ? []
      : [
          { source: spec.image.kernel, target: JAIL_KERNEL, access: 'read' },
          { source: spec.initramfs ?? spec.image.initramfs, target: JAIL_INITRAMFS, access: 'read' },
        ];
  const { id, placement, regions } = spec;
  const limits = applyLimits(
    { id, regions, directory: launch.directory },
    qemuLimits({ ...machine, regions }),
    placement !== undefined,
  );
  const sharesMemory = machine.accelerator === 'tcg' && start !== 'template';
  const functions = await functionParts({ ...spec, directory: launch.directory }, machine.memoryBytes);
  const argv = jailArgv({
    identity: spec.identity,
    bwrap: toolPath('bwrap').path,
    pkCell: nativeBinary('pk-cell'),
    pkJail: nativeBinary('pk-jail'),
    filter: 'qemu',
    noRandomize: false,
    groups: kvm === undefined ? [] : [kvm.group],
    // The vCPUs' threads are moved away from there once they exist.
    hostCpus: spec.housekeepingCpus,
    memoryNodes: spec.placement?.memory.map(({ node }) => node),
    joinFds: [],
    // Its state goes through a program to a file.
    mayFork: start === 'template',
    ...(kvm !== undefined && { machineCpus: machine.cpus }),
    hugePages: spec.placement?.hugePageBytes != null,
    // What it writes are two files of the host, of which its memory is the larger.
    rlimits: start === 'template' ? { ...limits.rlimits, fsize: machine.memoryBytes } : limits.rlimits,
    env: { ...qemu.env, ...launch.env },
    ...(launch.opened !== undefined && { opened: launch.opened }),
    ...(functions.lockedBytes !== undefined && { lockedBytes: functions.lockedBytes }),
    binds: [...qemu.binds, ...kernel, ...functions.binds, ...(kvm === undefined ? [] : [kvm.bind]), ...launch.binds],
    root: spec.root,
    volumes: spec.volumes,
    // A template boots for all that its kernel is given later.
    moduleTree: start === 'template' ? undefined : spec.image.moduleTree,
    own: await ownPlaces(spec),
    covers: spec.root.kind === 'host' ? await hostCovers([...(spec.homes ?? []), ...spec.hiddenPaths]) : [],
    uncovered: spec.shownPaths,
    memoryFiles: [{ target: '/dev/shm', bytes: SHM_BYTES, inodes: 16, mode: '1777' }],
    directory: launch.directory,
    program: qemuCommand({
      ...machine,
      program: qemu.path,
      firmware: qemu.firmware,
      start,
      hugePageBytes: spec.placement?.hugePageBytes ?? null,
      functions: spec.devices ?? [],
      append: spec.append ?? [],
      emptyCard: start !== 'boot' && !spec.network,
      ...(sharesMemory && { lineMemoryFd: MEMORY_FD }),
      rootImage: spec.root.kind === 'squashfs' || spec.root.kind === 'ext4',
    }),
  });
  const env = findTool('bwrap')?.env;
  return await launchShim({
    directory: launch.directory,
    argv,
    memoryBytes: sharesMemory ? LINE_MEMORY_BYTES : undefined,
    held: spec.rootLease,
    joins: limits.joins,
    cpus: spec.housekeepingCpus,
    env,
    signal,
  });
}

/** What is put right in each QEMU that runs a workload. */
export function preload(): Pick<QemuLaunch, 'binds' | 'env'> {
  return {
    binds: [{ source: nativeBinary('pk-ram.so'), target: JAIL_PRELOAD, access: 'read' }],
    env: { LD_PRELOAD: JAIL_PRELOAD },
  };
}

/** What a QEMU needs in its jail to give its guest PCI functions of the host. */
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { chmod, chown, mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { asPolykernelError, PolykernelError } from '../../sys/errors.ts';
import type { LaunchSpec, PassedFunction } from '../driver.ts';
import type { Bind } from '../jail/jail.ts';
import { JAIL_FUNCTIONS } from './command.ts';

/** Besides the guest's memory, all of which is pinned: what QEMU maps for the functions' own use. */
const OTHER_LOCKED_BYTES = 64 * 2 ** 20;

/**
 * In the launch directory, and seen in the jail: of each function a directory with all that QEMU asks /sys of it, the link to its group,
 * and what its owner calls it. Those of functions that come later are made while the kernel runs.
 */
const OWN_DIRECTORY = 'functions';
const GROUP_LINK = 'iommu_group';
const NAME_FILE = 'name';
/** A bind shows what comes into it later: a group has its door once vfio-pci has one of its functions. */
const DOORS = '/dev/vfio';
const DRIVER = '/sys/bus/pci/drivers/vfio-pci';

/** Parts of the host, for tests. */
export interface VfioHost {
  give(path: string, uid: number, gid: number): Promise<void>;
  /** Whether functions can be given away here. */
  isReady(): boolean;
  /** Whether this process can let another one lock more memory than itself: CAP_SYS_RESOURCE, which root in a container often has not. */
  mayLock(): boolean;
}

const HOST: VfioHost = {
  give: chown,
  isReady: () => existsSync(DRIVER) && existsSync(`${DOORS}/vfio`),
  mayLock() {
    const [, hex = '0'] = /^CapEff:\t([\da-f]{1,16})$/m.exec(readFileSync('/proc/self/status', 'latin1')) ?? [];
    return ((BigInt(`0x${hex}`) >> CAP_SYS_RESOURCE) & 1n) === 1n;
  },
};
const CAP_SYS_RESOURCE = 24n;

type Launch = Pick<LaunchSpec, 'identity' | 'directory'>;

/**
 * VFIO's doors, and what is said of the functions. Of the doors the kernel's own are its ids', so that no other can open them: nobody
 * else's kernel has these ids. Rejects with `unsupported` where the ids of kernels are not theirs alone, and `internal`.
 */
export async function functionParts(
  { devices = [], ...launch }: Launch & Partial<Pick<LaunchSpec, 'devices'>>,
  memoryBytes: number,
  host = HOST,
): Promise<{ binds: Bind[]; lockedBytes?: number }> {
  const { identity, directory } = launch;
  if (devices.length > 0 && identity.kind !== 'range')
    throw new PolykernelError('unsupported', 'only the daemon of root gives PCI functions to kernels', {
      field: 'devices',
      hint: 'Run the daemon as root.',
    });
  const mayLock = host.mayLock();
  if (devices.length > 0 && !mayLock)
    throw new PolykernelError(
      'permission',
      'the daemon cannot let a kernel lock its memory, as PCI functions need it',
      {
        field: 'devices',
        hint: 'Give it CAP_SYS_RESOURCE: in a container `--cap-add SYS_RESOURCE`.',
      },
    );
  if (devices.length === 0 && (identity.kind !== 'range' || !mayLock || !host.isReady())) return { binds: [] };
  const own = join(directory, OWN_DIRECTORY);
  await mkdir(own);
  await chmod(own, 0o755);
  for (const each of devices) await openDoor(launch, each, host);
  return {
    binds: [
      { source: DOORS, target: DOORS, access: 'device' },
      { source: own, target: JAIL_FUNCTIONS, access: 'read' },
    ],
    lockedBytes: memoryBytes + OTHER_LOCKED_BYTES,
  };
}

/** Whether the jail of a launch shows doors, and lets its memory be pinned. */
export const hasDoors = (directory: string): boolean => existsSync(join(directory, OWN_DIRECTORY));

/** Has the kernel of a launch able to open a function. Idempotent. */
export async function openDoor(
  { identity, directory }: Launch,
  { address, group, name }: PassedFunction,
  { give }: Pick<VfioHost, 'give'> = HOST,
): Promise<void> {
  if (identity.kind !== 'range') throw new PolykernelError('internal', 'the kernel has no ids of its own');
  const own = join(directory, OWN_DIRECTORY, address);
  try {
    await rm(own, { recursive: true, force: true });
    await mkdir(own);
    await chmod(own, 0o755);
    await symlink(`/sys/kernel/iommu_groups/${group}`, join(own, GROUP_LINK));
    if (name !== null) await writeFile(join(own, NAME_FILE), name);
    await give(`${DOORS}/${group}`, identity.start, identity.start);
  } catch (error) {
    throw asPolykernelError(error, `opening ${address} to its kernel`);
  }
}

/** The kernel has no part in it any more: its group's door is root's, unless another function of the kernel is behind it. */
export async function closeDoor(
  { directory }: Pick<Launch, 'directory'>,
  address: string,
  { give }: Pick<VfioHost, 'give'> = HOST,
): Promise<void> {
  const functions = functionsOf(directory);
  const group = functions.find((each) => each.address === address)?.group;
  await rm(join(directory, OWN_DIRECTORY, address), { recursive: true, force: true });
  if (group === undefined || functions.some((each) => each.group === group && each.address !== address)) return;
  await give(`${DOORS}/${group}`, 0, 0).catch((error: NodeJS.ErrnoException) => {
    // It goes when vfio-pci has none of its functions.
    if (error.code !== 'ENOENT') throw asPolykernelError(error, `closing ${address} to its former kernel`);
  });
}

/** Those whose doors are open to the kernel of a launch. */
export function functionsOf(directory: string): PassedFunction[] {
  const own = join(directory, OWN_DIRECTORY);
  return (hasDoors(directory) ? readdirSync(own) : []).map((address) => {
    const name = join(own, address, NAME_FILE);
    return {
      address,
      group: Number(basename(readlinkSync(join(own, address, GROUP_LINK)))),
      name: existsSync(name) ? readFileSync(name, 'utf8') : null,
    };
  });
}

/** The command line of a UML kernel inside its jail. Pure. */
import { type GuestRoot, type Pair, showRegion } from '../../guest/index.ts';
import type { LaunchSpec, SharedRegion } from '../driver.ts';
import { JAIL_ROOT_IMAGE, JAIL_VMM } from '../jail/jail.ts';

export const UML_KERNEL = `${JAIL_VMM}/linux`;
/** See native/xstate.so. */
export const UML_PRELOAD = `${JAIL_VMM}/pk-xstate.so`;
export const UML_INITRAMFS = `${JAIL_VMM}/initramfs`;
/** Relative to the launch directory, which is the working directory on both sides of the jail. */
export const UML_DIRECTORY = 'uml';
const UMID = 'k';
/** Of kernels that Polykernel 0.1 started, whose shim speaks to the console itself. */
export const UML_MCONSOLE = `${UML_DIRECTORY}/${UMID}/mconsole`;

/**
 * Boot work that a guest does not need: benchmarks of checksum routines, compressed swap and file systems, self-tests,
 * 512 BSD terminals and 64 serial lines, for each of which the kernel makes a process to run a /sbin/hotplug that is not there.
 * Together they take 1.2 s of a stock boot.
 */
const FAST_BOOT = [
  'initcall_blacklist=raid6_select_algo,calibrate_xor_blocks,init_zswap,init_btrfs_fs,ssl_init',
  'pty.legacy_count=0',
  'cryptomgr.notests=1',
];

/**
 * What its kernel takes for this machine's name, which stands in the guest's /proc/cpuinfo behind `host` and before this machine's
 * release: with the lines that other machines have there. Debian's procps 4.0.2 reads on until a `core id`, and gives up `ps -ef`,
 * `ps aux` and `vmstat` where there is none. At most 64 bytes.
 */
export const UML_NODE_NAME = [
  'polykernel',
  'physical id\t: 0',
  'core id\t\t: 0',
  'cpu cores\t: 1',
  'release\t\t:',
].join('\n');

/** The terminal that is the control line: the last of 16, as guests put logins on the first ones. */
const UML_LINE = 15;

/** Slots in each direction of the memory beside the control line, which carries single bytes towards the guest. */
export const UML_SLOTS = 16;

/**
 * `firstRegionFd`: descriptors of the shared regions, in their order, then of the network, then of the memory with `slots`.
 * `lpj` undefined: boots with its messages on, so that the constant can be read from them.
 */
export function umlCommand(
  spec: Pick<LaunchSpec, 'memoryBytes' | 'root' | 'regions' | 'network'> & Partial<Pick<LaunchSpec, 'append'>>,
  firstRegionFd: number,
  lpj: number | undefined,
  slots = 0,
): string[] {
  const networkFd = firstRegionFd + spec.regions.length;
  const hasDisk = spec.root.kind === 'squashfs' || spec.root.kind === 'ext4';
  return [
    UML_KERNEL,
    `mem=${Math.floor(spec.memoryBytes / 1024)}K`,
    `initrd=${UML_INITRAMFS}`,
    // Only these two lines exist: no xterm and no host terminal is ever opened.
    ...['con=null', 'con0=fd:0,fd:1', `con${UML_LINE}=fd:3,fd:3`, `pk.control=tty${UML_LINE}`],
    // c, for more than one machine: it may not lock the file.
    ...(hasDisk ? [`ubd0rc=${JAIL_ROOT_IMAGE}`] : []),
    ...[`umid=${UMID}`, `uml_dir=${UML_DIRECTORY}`],
    // First, and so behind the regions in memory: their places do not depend on it.
    ...(slots === 0
      ? []
      : [
          `iomem=mmapper,/proc/self/fd/${networkFd + (spec.network === null ? 0 : 1)}`,
          `pk.slots=${slots}`,
          'pk.beat=1',
        ]),
    ...spec.regions.map(({ slot }, index) => `iomem=c${slot},/proc/self/fd/${firstRegionFd + index}`),
    ...(spec.network === null ? [] : [vector(spec.network.port.mac, networkFd)]),
    // A reset is its end: by itself it would boot once more, in a jail and on a line that were laid out for the first time.
    'noreboot',
    ...FAST_BOOT,
    ...(lpj === undefined ? [] : ['quiet', 'loglevel=1', `lpj=${lpj}`]),
    ...(spec.append ?? []),
  ];
}

/** The network card in the guest. */
export const UML_INTERFACE = 'vec0';
const vector = (mac: string, fd: number) => `${UML_INTERFACE}:transport=fd,fd=${fd},mac=${mac}`;

/**
 * IPv6, which most servers ask for with their first socket: its module takes the kernel a sixth of the time that modprobe takes to
 * find it. Where there is none nothing is said.
 */
export const umlWishedModules = ({ version }: Pick<LaunchSpec['image'], 'version'>): Pair[] =>
  ['lib/crc-ccitt.ko', 'net/ipv6/ipv6.ko'].map((file) => ['wished-module', `/lib/modules/${version}/kernel/${file}`]);

/**
 * The CONFIGURE step of each region, by its id. The kernel lays regions out from the last one of the command line to the
 * first, each behind the one before and a gap of two pages (arch/um/drivers/mmapper and setup_iomem of Linux 6.1).
 */
export function umlRegionSteps(regions: readonly SharedRegion[]): Map<string, Pair> {
  const steps = new Map<string, Pair>();
  let offset = 0;
  for (const region of [...regions].reverse()) {
    steps.set(region.id, showRegion(region, { kind: 'iomem', offset }));
    offset += region.bytes + 8192;
  }
  return steps;
}

/** In the jail. */
const EXPORT = '/export';

/** From Linux 6.13 on each process of the guest has descriptors of its own on the host; before, all share the kernel's. */
export function umlMayFork({ version }: Pick<LaunchSpec['image'], 'version'>): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > 6 || (major === 6 && minor >= 13);
}

/** How the guest finds the root and the volumes that the jail shows. */
export function umlGuestRoot(spec: Pick<LaunchSpec, 'image' | 'root' | 'volumes'>): GuestRoot {
  const { moduleTree, version } = spec.image;
  const disk = spec.root.kind === 'squashfs' || spec.root.kind === 'ext4' ? spec.root.kind : undefined;
  const needsShare = disk === undefined || spec.volumes.length > 0 || moduleTree !== undefined;
  return {
    exportMount: needsShare ? { fstype: 'hostfs', source: 'export', data: EXPORT } : undefined,
    // A kernel without FUSE leaves what other users make to root.
    sharePath: spec.image.modules.fuse && EXPORT,
    ignoresSetId: spec.root.kind === 'host' && !spec.root.mapped,
    keepsRun: spec.root.kind !== 'host',
    root: disk === undefined ? 'export' : { blockDevice: '/dev/ubda', fstype: disk },
    volumes: spec.volumes.map(({ target, readOnly }, index) => ({ index, target, readOnly })),
    modulesOf: moduleTree && version,
  };
}

/** Modules of the image that this root needs, in load order. */
export function umlModules(spec: Pick<LaunchSpec, 'image' | 'root' | 'volumes'>): string[] {
  const { modules } = spec.image;
  const disk = spec.root.kind === 'squashfs' || spec.root.kind === 'ext4' ? spec.root.kind : undefined;
  const isWritten = spec.volumes.some(({ readOnly }) => !readOnly);
  const lists = [
    modules.overlay,
    disk && modules.block,
    disk && modules[disk],
    modules.share,
    isWritten ? modules.fuse : [],
  ];
  return [...new Set(lists.flatMap((list) => list ?? []))];
}

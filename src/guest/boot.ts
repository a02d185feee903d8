/** What a booted guest is told so that its root file system comes to be. Pure: description in, CONFIGURE steps out. */
import { PolykernelError } from '../sys/errors.ts';
import type { Pair } from './protocol.ts';

/** What a root has for the modules of its kernel. */
export interface KnownModules {
  /**
   * The directories of root's down to the one that they are to be shown in, by their paths without the first slash, the outermost first;
   * none where it has such modules itself.
   */
  room: readonly { path: string; mode: number }[];
  /** It has a program that loads them. */
  hasLoader: boolean;
}

/** What is known of a root before its guest has it: what is undefined the guest looks for. */
export interface KnownRoot {
  /** Of its /etc, a directory of root's. */
  etcMode?: number | undefined;
  /** The text of its /etc/hosts. */
  hosts?: string | undefined;
  modules?: KnownModules | undefined;
}

interface ShareMount {
  fstype: string;
  source: string;
  data: string;
}

export interface GuestRoot {
  /** How the guest mounts the one share it is shown: `root/` (the lower layer), `vol0`, `vol1`..., `modules/`. */
  exportMount: ShareMount | undefined;
  /** How it mounts the share once more, for the volumes alone; default: they are found by the first mount. */
  volumesMount?: ShareMount | undefined;
  /**
   * Where the share's file system does not give new files to who makes them: hostfs's own path of the share, by which
   * pk-share serves the writable volumes that are directories.
   */
  sharePath?: string | undefined;
  /**
   * The root's owners are not what they seem: who is root runs its set-uid programs as root, and nobody becomes nobody. For
   * others they give nothing either way.
   */
  ignoresSetId?: boolean;
  known?: KnownRoot | undefined;
  /** Directories of the root in which everybody may make files and which are shown empty: they are root's, whoever emptied them. */
  temporary?: readonly string[];
  /** The root is not this machine's own: directories in its /run are what its programs look for in theirs. */
  keepsRun?: boolean;
  /** Lower layer: `root/` in the share, a block device of the guest, or a directory of the initramfs. */
  root: 'export' | { blockDevice: string; fstype: string } | { directory: string };
  /** `index`: which volN of the share; `target`: absolute path in the guest. */
  volumes: readonly { index: number; target: string; readOnly: boolean }[];
  /** The release of the kernel whose modules are in the share; undefined: none are. */
  modulesOf?: string | undefined;
  /** What the kernel has of memory, by which the scratch layer is bounded; absent: as Linux bounds it. */
  memoryBytes?: number;
}

export interface GuestIdentity {
  hostname: string;
  /** 32 lower-case hex digits. */
  machineId: string;
  /** Entropy for the guest's generator; 32 bytes or more. */
  seed: Uint8Array;
  /** Wall clock in milliseconds since the epoch, fractions allowed; undefined: the guest's clock is right already. */
  timeMs?: number | undefined;
}

/** A channel's memory as a guest is told of it; see docs/channel.md. */
export interface GuestRegion {
  name: string;
  slot: number;
  side: 'send' | 'recv';
  bytes: number;
}

/**
 * The step that makes shared memory known by name. `iomem`: `offset` bytes behind the end of RAM, where User Mode Linux puts
 * what its command line names. `pci`: BAR 2 of the ivshmem function whose place on the bus follows from the slot.
 */
export function showRegion(region: GuestRegion, memory: { kind: 'iomem' | 'pci'; offset: number }): Pair {
  const { name, slot, side, bytes } = region;
  return ['channel', [name, slot, side, memory.kind, memory.offset, bytes].join('\x1f')];
}

interface GuestNetwork {
  port: { address: string; netmask: string };
  /** null, as below: the file is a volume's. */
  hosts: string | null;
  wayOut: { gateway: string; resolvConf: string | null } | null;
}

/** The steps that bring a network card up with its address, and make names known. */
export const networkSteps = (card: string, { port, hosts, wayOut }: GuestNetwork): Pair[] => [
  ['address', [card, port.address, port.netmask, wayOut?.gateway ?? ''].join('\x1f')],
  ...ownFile('/etc/hosts', hosts),
  ...ownFile('/etc/resolv.conf', wayOut?.resolvConf),
];

const ownFile = (path: string, text: string | null | undefined): Pair[] =>
  text == null ? [] : [['write', `${path}\x1f${text}`]];

/**
 * The step after which the guest kernel's worker threads come before all processes, for so long. User Mode Linux is paused by
 * one of them, which would pay for the time of the pause afterwards, by waiting for as long.
 */
export const workersFirst = (milliseconds: number): Pair => ['workers-first', String(milliseconds)];

/** The step after which the agent feeds the machine's watchdog, which runs out when it did not for so long. Fails where there is none. */
export const feedWatchdog = (seconds: number): Pair => ['watchdog', String(seconds)];

/** The step after which the guest kernel forgets files that nobody has open when it knows of so many more than are in use. */
export const inodesMost = (count: number): Pair => ['inodes-most', String(count)];

/** The step that tells programs in the guest what its kernel has now: those that size themselves by it can watch the file. */
export const tellSize = ({ cpus, memoryBytes }: { cpus: number; memoryBytes: number }): Pair => [
  'write',
  `/run/pk/size\x1fcpus=${cpus}\nmemory_bytes=${memoryBytes}\n`,
];

/** The step that tells programs in the guest where on its PCI bus the functions are that its owner has given names. */
export const tellFunctions = (named: readonly { name: string; address: string }[]): Pair => [
  'write',
  `/run/pk/functions\x1f${named.map(({ name, address }) => `${name}=${address}\n`).join('')}`,
];

export const forgetRegion = (name: string): Pair => ['no-channel', name];

/**
 * Of memory for each name in the scratch layer, four times as many as Linux would have: each file of the root that is removed takes a
 * name there, and hardly any memory.
 */
const BYTES_A_NAME = 2048;

/** Where the share and the layers are mounted: in the initramfs, of which the workload sees nothing. See native/init/mounts.c. */
const WORK = '/.pk';
const NEW_ROOT = '/newroot';

/** Steps that make directories within each other, the outermost first: one of the usual mode comes with the next. */
const nested = (above: string, directories: readonly { path: string; mode: number }[]): Pair[] =>
  directories
    .filter(({ mode }, index) => mode !== 0o755 || index === directories.length - 1)
    .map(({ path, mode }) => ['mkdir', `${above}/${path}\x1f${mode.toString(8)}`]);

function showModules(source: string, release: string, known: KnownModules | undefined): Pair[] {
  if (known === undefined) return [['modules', `${source}\x1f${release}`]];
  const lent: Pair[] = known.hasLoader ? [] : [['lend-modprobe', '']];
  const place = known.room.at(-1);
  if (place === undefined) return lent;
  return [...lent, ['mount', ['', source, `/${place.path}`, 'bind,ro,nosuid,nodev', ''].join('\x1f')]];
}

/** A hosts file with the names that it lacks: localhost, and the machine's own. undefined: it has both. As pk-init's own_name(). */
function namedHosts(text: string, name: string): string | undefined {
  const names = new Set(
    text.split('\n').flatMap((line) =>
      line
        .replace(/#.*/, '')
        .trim()
        .split(/[ \t\r]+/)
        .slice(1),
    ),
  );
  // Debian's address for it: what listens at this name is not at localhost's.
  const own = names.has(name) ? '' : `127.0.1.1 ${[...new Set([name, name.split('.')[0]])].join(' ')}\n`;
  const local = names.has('localhost') ? '' : '127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n';
  if (own === '' && local === '') return undefined;
  return `${text === '' || text.endsWith('\n') ? text : `${text}\n`}${local}${own}`;
}

/** Name, time and entropy: all that makes one clone of a template differ from the next. */
export function identityOps(identity: GuestIdentity): Pair[] {
  const ops: Pair[] = [];
  if (identity.timeMs !== undefined) {
    const microseconds = Math.round(identity.timeMs * 1000);
    const fraction = String(microseconds % 1_000_000).padStart(6, '0') + '000';
    ops.push(['time', `${Math.floor(microseconds / 1_000_000)}.${fraction}`]);
  }
  ops.push(['seed', Buffer.from(identity.seed).toString('hex')], ['hostname', identity.hostname]);
  return ops;
}

/**
 * The steps from a freshly booted (or cloned) guest to one whose root is the lower layer under a scratch layer in
 * memory, with its volumes and identity. `modules` are paths in the initramfs, loaded before anything is mounted.
 *
 * Volumes come after switch-root, so that symbolic links in their paths resolve inside the new root.
 * @throws PolykernelError `invalid` for a volume target that is not an absolute path below /
 */
export function rootOps(input: GuestRoot & GuestIdentity & { modules: readonly string[] }): Pair[] {
  const { exportMount, volumesMount, root, volumes, modulesOf } = input;
  const needsShare = root === 'export' || (volumes.length > 0 && volumesMount === undefined) || modulesOf !== undefined;
  if (exportMount === undefined && needsShare) {
    throw new PolykernelError('internal', 'a root, volumes or modules on the share were asked for without a share');
  }
  const share = `${WORK}/export`;
  const ofVolumes = volumesMount === undefined ? share : `${WORK}/volumes`;
  const scratch = `${WORK}/scratch`;
  const lower = root === 'export' ? `${share}/root` : 'directory' in root ? root.directory : `${WORK}/lower`;
  // The time first: it is no longer right once other steps have taken theirs.
  const ops: Pair[] = [...identityOps(input), ...input.modules.map((path): Pair => ['module', path])];
  const mount = (fstype: string, source: string, target: string, flags: string, data: string) =>
    ops.push(['mount', [fstype, source, target, flags, data].join('\x1f')]);

  if (exportMount !== undefined) mount(exportMount.fstype, exportMount.source, share, '', exportMount.data);
  if (volumesMount !== undefined) mount(volumesMount.fstype, volumesMount.source, ofVolumes, '', volumesMount.data);
  if (root !== 'export' && 'blockDevice' in root)
    mount(root.fstype, root.blockDevice, lower, 'ro', root.fstype.startsWith('ext') ? 'noload' : '');
  const names = input.memoryBytes === undefined ? '' : `,nr_inodes=${Math.floor(input.memoryBytes / BYTES_A_NAME)}`;
  mount('tmpfs', 'scratch', scratch, '', `mode=0755${names}`);
  // The identity goes straight into the upper layer: through the overlay each file would first be looked up and copied.
  const etc = `${scratch}/upper/etc`;
  const { etcMode, hosts, modules } = input.known ?? {};
  if (etcMode === undefined) ops.push(['etc-room', [lower, `${scratch}/upper`].join('\x1f')]);
  else ops.push(['mkdir', `${etc}\x1f${etcMode.toString(8)}`]);
  ops.push(['mkdir', `${scratch}/work`]);
  for (const path of input.temporary ?? []) ops.push(['mkdir', `${scratch}/upper${path}\x1f1777`]);
  ops.push(['write', `${etc}/hostname\x1f${input.hostname}\n`], ['write', `${etc}/machine-id\x1f${input.machineId}\n`]);
  if (hosts === undefined) ops.push(['own-name', [lower, `${etc}/hosts`, input.hostname].join('\x1f')]);
  else ops.push(...ownFile(`${etc}/hosts`, namedHosts(hosts, input.hostname)));
  if (modulesOf !== undefined)
    ops.push(
      ...(modules === undefined
        ? [['modules-room', [lower, `${scratch}/upper`, modulesOf].join('\x1f')] satisfies Pair]
        : nested(`${scratch}/upper`, modules.room)),
    );
  // Directories of the root are renamed as any: without it `rename` fails with EXDEV for them.
  const layers = `lowerdir=${lower},upperdir=${scratch}/upper,workdir=${scratch}/work,redirect_dir=on`;
  const flags = input.ignoresSetId ? 'nosuid' : '';
  ops.push(['mount', ['overlay', 'root', NEW_ROOT, flags, layers].join('\x1f')]);
  if (input.keepsRun) ops.push(['run-directories', `${NEW_ROOT}/run`]);
  ops.push(['switch-root', NEW_ROOT]);
  // Before the volumes, one of which may be somebody's own modules.
  if (modulesOf !== undefined) ops.push(...showModules(`${share}/modules`, modulesOf, modules));

  for (const { index, target, readOnly } of volumes) {
    if (!/^\/./.test(target) || target.includes('\x1f') || target.split('/').includes('..')) {
      throw new PolykernelError('invalid', `a volume cannot be mounted at ${JSON.stringify(target)}`, {
        field: 'volume',
        value: target,
        hint: 'Give an absolute path below / as its target.',
      });
    }
    const source = `${ofVolumes}/vol${index}`;
    if (input.sharePath === undefined || readOnly)
      ops.push(['mount', ['', source, target, readOnly ? 'bind,ro' : 'bind', ''].join('\x1f')]);
    else ops.push(['share', [source, `${input.sharePath}/vol${index}`, target].join('\x1f')]);
  }
  ops.push(['mkdir', '/tmp\x1f1777']);
  // As systemd has it on machines: what is mounted here is mounted in the namespaces that ask for it (containers, services).
  ops.push(['mount', ['', '', '/', 'rec,shared', ''].join('\x1f')]);
  return ops;
}

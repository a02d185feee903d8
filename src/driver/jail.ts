/**
 * Builds the command line that runs a VMM inside bubblewrap and pk-jail. Pure: what must be known of the host
 * (jail-host.ts) is passed in. Everything is an argument vector, so that names with spaces or quotes are only names.
 *
 * INVARIANTS
 * - The jail's root file system is an empty tmpfs plus what is listed here; nothing of the host appears by default.
 * - Only the writable volumes, the VMM's own directory and its tmpfs can be written.
 * - No process in the jail has a capability, can gain one, or can make a namespace.
 * - The jail dies with the process that started it: the kernel kills the whole pid namespace.
 */
import type { RootSource, Volume } from './driver.ts';

/** Where the guest's root source is found inside the jail: a directory, or a file system image. */
export const JAIL_ROOT = '/export/root';
export const JAIL_ROOT_IMAGE = '/export/root.img';
/** Where volume number `index` is found inside the jail. */
export const jailVolume = (index: number): string => `/export/vol${index}`;
/** Directory of the VMM's files inside the jail. */
export const JAIL_VMM = '/vmm';

export interface Bind {
  /** Absolute host path. */
  source: string;
  /** Absolute path inside the jail. */
  target: string;
  /** `device` is a writable bind on which device nodes work. */
  access: 'read' | 'write' | 'device';
}

/** A host path whose content must not be seen through a `host` root. Real paths: no symbolic link in any component. */
export interface Cover {
  path: string;
  kind: 'directory' | 'file';
}

export interface JailSpec {
  /** uid of the process that starts the jail: root needs no user namespace. */
  callerUid: number;
  /** Paths of the programs on the host. */
  bwrap: string;
  pkJail: string;
  filter: 'uml' | 'qemu';
  noRandomize: boolean;
  /** uid and gid inside; undefined = the caller's. Only root can give another, others keep their own. */
  identity: { uid: number; gid: number } | undefined;
  /** Supplementary groups inside, where an identity is taken on; default none. */
  groups?: readonly number[];
  /** Host CPUs of the VMM; undefined = those of its parent. */
  hostCpus: readonly number[] | undefined;
  /** Nodes that all its memory has to come from; undefined = any. */
  memoryNodes: readonly number[] | undefined;
  /** Descriptors of control group files, open in the VMM's process, that it writes itself into. */
  joinFds: readonly number[];
  /** Resource limits of every process in the jail, by name: `nofile`, `nproc`, `data`. */
  rlimits?: Readonly<Record<string, number>>;
  /** Environment of the VMM besides PATH. */
  env?: Readonly<Record<string, string>>;
  binds: readonly Bind[];
  root: RootSource;
  volumes: readonly Volume[];
  /** Hidden in a `host` root, besides /proc, /sys, /dev and /run. */
  covers: readonly Cover[];
  /** Size of /dev/shm in bytes; UML's memory lives there. */
  shmBytes: number;
  /** Launch directory: becomes the working directory inside, holding only what is bound below it. */
  directory: string;
  /** The VMM as seen inside, and its arguments. */
  program: readonly string[];
}

const JAIL_PROGRAM = `${JAIL_VMM}/pk-jail`;
const TMP_BYTES = 64 * 2 ** 20;
/** What pk-jail needs to change identity and to give everything up; it ends with none of them. */
const NEEDED_CAPABILITIES = ['CAP_SETUID', 'CAP_SETGID', 'CAP_SETPCAP'];

/** The whole command line: `bwrap ... pk-jail ... PROGRAM`. */
export function jailArgv(spec: JailSpec): string[] {
  return [
    spec.bwrap,
    ...namespaces(spec),
    ...skeleton(spec),
    ...rootBinds(spec),
    ...spec.volumes.flatMap((volume, index) => [
      volume.readOnly ? '--ro-bind' : '--bind',
      volume.source,
      jailVolume(index),
    ]),
    ...spec.binds.flatMap(bindArguments),
    ...['--remount-ro', '/dev', '--remount-ro', '/'],
    ...['--chdir', spec.directory, '--'],
    JAIL_PROGRAM,
    ...jailOptions(spec),
    '--',
    ...spec.program,
  ];
}

function namespaces(spec: JailSpec): string[] {
  const root = spec.callerUid === 0;
  return [
    ...['--unshare-pid', '--unshare-net', '--unshare-ipc', '--unshare-uts', '--unshare-cgroup-try'],
    ...(root ? [] : ['--unshare-user']),
    ...['--die-with-parent', '--new-session', '--clearenv', '--setenv', 'PATH', '/usr/bin:/bin'],
    ...Object.entries(spec.env ?? {}).flatMap(([name, value]) => ['--setenv', name, value]),
    ...(root ? ['--cap-drop', 'ALL', ...NEEDED_CAPABILITIES.flatMap((name) => ['--cap-add', name])] : []),
  ];
}

function skeleton(spec: JailSpec): string[] {
  return [
    ...['--proc', '/proc', '--remount-ro', '/proc', '--dev', '/dev'],
    ...['--perms', '1777', '--size', String(spec.shmBytes), '--tmpfs', '/dev/shm'],
    ...['--perms', '1777', '--size', String(TMP_BYTES), '--tmpfs', '/tmp'],
    // Named, because bwrap makes parents that are not with mode 0700.
    ...['/export', JAIL_VMM, spec.directory, ...parentsOf(spec.binds)].flatMap((path) => [
      '--perms',
      '0755',
      '--dir',
      path,
    ]),
    ...['--ro-bind', spec.pkJail, JAIL_PROGRAM],
  ];
}

/** Every directory above a bind's target, outer ones first. */
function parentsOf(binds: readonly Bind[]): string[] {
  const parents = new Set<string>();
  for (const { target } of binds) {
    const names = target.split('/').slice(1, -1);
    for (const index of names.keys()) parents.add(`/${names.slice(0, index + 1).join('/')}`);
  }
  return [...parents].filter((path) => !['/dev', '/dev/shm', '/proc', '/tmp'].includes(path));
}

function rootBinds(spec: JailSpec): string[] {
  switch (spec.root.kind) {
    case 'directory':
      return ['--ro-bind', spec.root.path, JAIL_ROOT];
    case 'squashfs':
    case 'ext4':
      return ['--ro-bind', spec.root.path, JAIL_ROOT_IMAGE];
    case 'host':
      // bwrap binds recursively and makes every mount below read-only too.
      return ['--ro-bind', '/', JAIL_ROOT, ...outermost(spec.covers).flatMap(coverArguments)];
  }
}

/** Covers that lie inside no other: a covered directory is empty, so nothing can be covered in it. */
function outermost(covers: readonly Cover[]): Cover[] {
  const directories = covers.filter((cover) => cover.kind === 'directory').map((cover) => `${cover.path}/`);
  const unique = new Map(covers.map((cover) => [cover.path, cover]));
  return [...unique.values()].filter((cover) => !directories.some((directory) => cover.path.startsWith(directory)));
}

function coverArguments(cover: Cover): string[] {
  const target = JAIL_ROOT + cover.path;
  if (cover.kind === 'file') return ['--ro-bind', '/dev/null', target];
  return ['--perms', '0555', '--tmpfs', target, '--remount-ro', target];
}

function bindArguments(bind: Bind): string[] {
  const option = { read: '--ro-bind', write: '--bind', device: '--dev-bind' }[bind.access];
  return [option, bind.source, bind.target];
}

function jailOptions(spec: JailSpec): string[] {
  const options = ['--filter', spec.filter];
  if (spec.noRandomize) options.push('--no-randomize');
  if (spec.hostCpus !== undefined && spec.hostCpus.length > 0) options.push('--cpus', spec.hostCpus.join(','));
  if (spec.memoryNodes !== undefined && spec.memoryNodes.length > 0) options.push('--mems', spec.memoryNodes.join(','));
  if (spec.joinFds.length > 0) options.push('--join', spec.joinFds.join(','));
  for (const [name, value] of Object.entries(spec.rlimits ?? {})) options.push('--rlimit', `${name}=${value}`);
  if (spec.identity !== undefined && spec.callerUid === 0) {
    options.push('--uid', String(spec.identity.uid), '--gid', String(spec.identity.gid));
    if (spec.groups !== undefined && spec.groups.length > 0) options.push('--groups', spec.groups.join(','));
  }
  return options;
}

/**
 * Builds the command line that runs a VMM inside pk-cell, bubblewrap and pk-jail. Pure: what must be known of the host
 * (host.ts) is passed in. Everything is an argument vector, so that names with spaces or quotes are only names.
 *
 * INVARIANTS
 * - The jail's root file system is an empty tmpfs plus what is listed here; nothing of the host appears by default, and
 *   nothing that is mounted on the host later.
 * - Only the writable volumes and bounded memory file systems can be written.
 * - No process in the jail has a user id of somebody on the host but the caller's own where he is not root, can gain a
 *   capability, or can make a namespace. A VMM that serves files has three capabilities over the ids of its kernel.
 * - The jail dies with the process that started it: the kernel kills the whole pid namespace.
 */

import type { RootSource, Source } from '../../image/contract.ts';
import { type Identity, identityOptions } from '../../sys/identity.ts';
import type { Volume } from '../driver.ts';

/** Where the guest's root source is found inside the jail: a directory, or a file system image. */
export const JAIL_ROOT = '/export/root';
export const JAIL_ROOT_IMAGE = '/export/root.img';
/** Where volume number `index` is found inside the jail. */
export const jailVolume = (index: number): string => `/export/vol${index}`;
/** Where the modules of the guest's kernel are found inside the jail. */
const JAIL_MODULES = '/export/modules';
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
  /** Anybody may make files in it, as in /tmp; what is made lies in the guest's scratch layer. */
  isTemporary?: boolean;
}

/** Files in memory, of the guest's root. */
export interface MemoryFiles {
  /** Where, inside the jail. */
  target: string;
  bytes: number;
  /** How many files at most: each costs the host kernel's memory. */
  inodes: number;
  /** Octal. */
  mode: '0700' | '1777';
}

export interface JailSpec {
  identity: Identity;
  /** Paths of the programs on the host. */
  bwrap: string;
  pkCell: string;
  pkJail: string;
  /** Name of the system calls that pk-jail lets it make. */
  filter: string;
  noRandomize: boolean;
  /** What a VMM is told that this machine is called: a guest may pass on what it is told. */
  nodeName?: string;
  /** Supplementary groups inside, where the manager is root; default none. */
  groups?: readonly number[];
  /** Host CPUs of the VMM; undefined = those of its parent. */
  hostCpus: readonly number[] | undefined;
  /** Nodes that all its memory has to come from; undefined = any. */
  memoryNodes: readonly number[] | undefined;
  /** Descriptors of control group files, open in the VMM's process, that it writes itself into. */
  joinFds: readonly number[];
  /** Resource limits of every process in the jail, by name: `nofile`, `nproc`, `data`, `fsize`. */
  rlimits?: Readonly<Record<string, number>>;
  /** Whether its memory may be of huge pages, which no memory group counts; default no. */
  hugePages?: boolean;
  /** Whether it may make processes with descriptors of their own, without end; default no. */
  mayFork?: boolean;
  /** Whether it may read all of its /proc, where Landlock keeps it from that; default no: what is read there has locks of all of the host. */
  mayReadProc?: boolean;
  /** CPUs of a machine of KVM, each of which costs memory that no memory group counts; default none. */
  machineCpus?: number;
  /** Memory that it may lock, where the manager is root; default: as much as its starter. */
  lockedBytes?: number;
  /** A file in the jail that the VMM has open for reading, under that number. */
  opened?: { fd: number; path: string };
  /** Environment of the VMM besides PATH. */
  env?: Readonly<Record<string, string>>;
  binds: readonly Bind[];
  root: RootSource;
  volumes: readonly Volume[];
  /** Directory of the host with the modules of the guest's kernel; default: it is shown none. */
  moduleTree?: string | undefined;
  /** Directories that are empty in every root and volume that holds them. */
  own?: readonly string[];
  /** Hidden in a `host` root. */
  covers: readonly Cover[];
  /** Directories shown in a `host` root although they lie below a cover. */
  uncovered?: readonly Source[];
  memoryFiles: readonly MemoryFiles[];
  /** Launch directory: becomes the working directory inside, holding only what is bound below it. */
  directory: string;
  /** The VMM as seen inside, and its arguments. */
  program: readonly string[];
}

const NODE_NAME = 'polykernel';
const JAIL_PROGRAM = `${JAIL_VMM}/pk-jail`;
const TMP: MemoryFiles = { target: '/tmp', bytes: 64 * 2 ** 20, inodes: 1024, mode: '1777' };
/** pk-cell's descriptor of the guest's user namespace. */
const GUEST_NAMESPACE_FD = 64;
/** Where pk-cell puts trees, below the launch directory. */
const STAGE = 'trees';
/** What pk-jail needs to change identity and to give everything up; it ends with none of them. */
const NEEDED_CAPABILITIES = ['CAP_SETUID', 'CAP_SETGID', 'CAP_SETPCAP'];
/** What a VMM has over its kernel's own ids when it serves files, so that they can have other owners than itself. */
const FILE_CAPABILITIES = ['CAP_CHOWN', 'CAP_DAC_OVERRIDE', 'CAP_FOWNER'];

const stage = ({ directory }: JailSpec, name: string): string => `${directory}/${STAGE}/${name}`;

/** A tree of the host as pk-cell opens and maps it, and where it is shown. */
interface Tree {
  name: string;
  readOnly: boolean;
  /** mapped: its owners are the kernel's ids. owned: its one file is the kernel's root's. plain: as it is. */
  mapping: 'mapped' | 'owned' | 'plain';
  source: Source;
  target: string;
}

/** The whole command line: `pk-cell ... bwrap ... pk-jail ... PROGRAM`. */
export function jailArgv(spec: JailSpec): string[] {
  const trees = treesOf(spec);
  const shown = shownOf(spec);
  const memory = [TMP, ...spec.memoryFiles];
  return [
    spec.pkCell,
    ...identityOptions(spec.identity),
    ...['--dir', spec.directory],
    ...(spec.lockedBytes === undefined ? [] : ['--memlock', String(spec.lockedBytes)]),
    ...spec.covers.filter(({ kind }) => kind === 'directory').flatMap(({ path }) => ['--skip', path]),
    ...(spec.own ?? []).flatMap((path) => ['--cover', path]),
    ...[...trees, ...shown].flatMap(treeOptions),
    ...memory.flatMap(({ bytes, inodes, mode }, index) => ['--memory-files', `mem${index},${bytes},${inodes},${mode}`]),
    '--',
    spec.bwrap,
    ...namespaces(spec),
    ...skeleton(spec),
    ...trees.flatMap(({ name, target, readOnly }) => [readOnly ? '--ro-bind' : '--bind', stage(spec, name), target]),
    ...(spec.root.kind === 'host' ? coverOptions(spec, shown) : []),
    ...spec.binds.flatMap(bindArguments),
    ...spec.memoryFiles.flatMap(({ target }, index) => ['--bind', stage(spec, `mem${index + 1}`), target]),
    ...['--remount-ro', '/dev', '--remount-ro', '/'],
    ...['--chdir', spec.directory, '--'],
    JAIL_PROGRAM,
    ...jailOptions(spec),
    '--',
    ...spec.program,
  ];
}

/** Whether the VMM gives its guest files of the host, and not only an image. */
const servesFiles = ({ root, volumes }: Pick<JailSpec, 'root' | 'volumes'>): boolean =>
  root.kind === 'host' || root.kind === 'directory' || volumes.length > 0;

function treesOf({ root, volumes, moduleTree }: JailSpec): Tree[] {
  const trees: Tree[] = [];
  switch (root.kind) {
    case 'directory':
      trees.push({ name: 'root', readOnly: true, mapping: 'mapped', source: root, target: JAIL_ROOT });
      break;
    case 'squashfs':
    case 'ext4':
      trees.push({ name: 'root.img', readOnly: true, mapping: 'owned', source: root, target: JAIL_ROOT_IMAGE });
      break;
    case 'host':
      trees.push({
        name: 'root',
        readOnly: true,
        mapping: root.mapped ? 'mapped' : 'plain',
        source: { path: '/' },
        target: JAIL_ROOT,
      });
  }
  for (const [index, { source, seen, readOnly }] of volumes.entries()) {
    const name = `vol${index}`;
    trees.push({ name, readOnly, mapping: 'mapped', source: seen ?? { path: source }, target: jailVolume(index) });
  }
  // Everybody may read them: whose they are says nothing.
  if (moduleTree !== undefined)
    trees.push({
      name: 'modules',
      readOnly: true,
      mapping: 'plain',
      source: { path: moduleTree },
      target: JAIL_MODULES,
    });
  return trees;
}

/**
 * What is shown again below covers, each a tree of its own: who owns a directory on the way there could otherwise swap
 * it for a link to what is covered.
 */
function shownOf({ root, covers, uncovered = [] }: JailSpec): Tree[] {
  if (root.kind !== 'host') return [];
  const isCovered = ({ path }: Source) => covers.some((cover) => path.startsWith(`${cover.path}/`));
  return uncovered.filter(isCovered).map((source, index) => ({
    name: `shown${index}`,
    readOnly: true,
    mapping: root.mapped ? 'mapped' : 'plain',
    source,
    target: JAIL_ROOT + source.path,
  }));
}

function treeOptions({ name, readOnly, mapping, source }: Tree): string[] {
  const expected = source.uid === undefined ? '-' : `${source.uid},${source.inode}`;
  return ['--tree', name, readOnly ? 'ro' : 'rw', mapping, expected, source.path];
}

function namespaces(spec: JailSpec): string[] {
  const capabilities = [...NEEDED_CAPABILITIES, ...(spec.identity.kind === 'range' ? [] : FILE_CAPABILITIES)];
  return [
    ...['--unshare-pid', '--unshare-net', '--unshare-ipc', '--unshare-uts', '--unshare-cgroup-try', '--as-pid-1'],
    ...['--hostname', spec.nodeName ?? NODE_NAME],
    ...['--die-with-parent', '--new-session', '--clearenv', '--setenv', 'PATH', '/usr/bin:/bin'],
    ...Object.entries(spec.env ?? {}).flatMap(([name, value]) => ['--setenv', name, value]),
    ...['--cap-drop', 'ALL', ...capabilities.flatMap((name) => ['--cap-add', name])],
  ];
}

function skeleton(spec: JailSpec): string[] {
  const targets = [...spec.binds, ...spec.memoryFiles].map(({ target }) => target);
  return [
    ...['--proc', '/proc', '--remount-ro', '/proc', '--dev', '/dev'],
    // Who opens a terminal has a lock of all terminals of the host: there are none.
    ...['--perms', '0555', '--tmpfs', '/dev/pts', '--remount-ro', '/dev/pts'],
    // Before what may lie in it.
    ...['--bind', stage(spec, 'mem0'), TMP.target],
    // Named, because bwrap makes parents that are not with mode 0700.
    ...['/export', JAIL_VMM, spec.directory, ...parentsOf(targets)].flatMap(passable),
    ...['--ro-bind', spec.pkJail, JAIL_PROGRAM],
  ];
}

const passable = (path: string): string[] => ['--perms', '0755', '--dir', path];

/** Every directory above the targets, outer ones first. */
function parentsOf(targets: readonly string[]): string[] {
  const parents = new Set<string>();
  for (const target of targets) {
    const names = target.split('/').slice(1, -1);
    for (const index of names.keys()) parents.add(`/${names.slice(0, index + 1).join('/')}`);
  }
  return [...parents].filter((path) => !['/dev', '/dev/shm', '/proc', '/tmp'].includes(path));
}

/** Covers a `host` root. What is shown again below a cover has covers of its own in it. */
function coverOptions(spec: JailSpec, trees: readonly Tree[]): string[] {
  const { covers } = spec;
  const shownIn = (path: string) => trees.filter(({ source }) => source.path.startsWith(`${path}/`));
  const cover = (all: readonly Cover[]): string[] =>
    outermost(all).flatMap(({ path, kind, isTemporary }) => {
      const target = JAIL_ROOT + path;
      if (kind === 'file') return ['--ro-bind', '/dev/null', target];
      const shown = shownIn(path);
      return [
        ...['--perms', isTemporary ? '1777' : '0555', '--tmpfs', target],
        ...parentsOf(shown.map(({ source }) => source.path))
          .filter((parent) => parent.startsWith(`${path}/`))
          .flatMap((parent) => passable(JAIL_ROOT + parent)),
        ...shown.flatMap((tree) => ['--ro-bind', stage(spec, tree.name), tree.target]),
        ...shown.flatMap(({ source }) =>
          cover(covers.filter((inner) => inner.path === source.path || inner.path.startsWith(`${source.path}/`))),
        ),
        ...['--remount-ro', target],
      ];
    });
  return cover(covers);
}

/** Those that lie inside no other: a covered directory is empty, so nothing can be covered in it. */
function outermost(covers: readonly Cover[]): Cover[] {
  const directories = covers.filter((cover) => cover.kind === 'directory').map((cover) => `${cover.path}/`);
  const unique = new Map(covers.map((cover) => [cover.path, cover]));
  return [...unique.values()].filter(({ path }) => !directories.some((each) => path.startsWith(each)));
}

function bindArguments(bind: Bind): string[] {
  const option = { read: '--ro-bind', write: '--bind', device: '--dev-bind' }[bind.access];
  return [option, bind.source, bind.target];
}

/** Where the VMM may open files for writing: all else is read-only, but a FIFO does not mind that. */
function writableIn(spec: JailSpec): string[] {
  const binds = spec.binds.filter(({ access }) => access !== 'read').map(({ target }) => target);
  const volumes = [...spec.volumes.keys()].filter((index) => !spec.volumes[index]!.readOnly).map(jailVolume);
  return ['/dev', TMP.target, ...spec.memoryFiles.map(({ target }) => target), ...binds, ...volumes];
}

function jailOptions(spec: JailSpec): string[] {
  const { identity } = spec;
  const options = ['--filter', spec.filter];
  if (identity.kind === 'range') options.push('--userns', String(GUEST_NAMESPACE_FD));
  if (servesFiles(spec)) {
    // Modes are the guest's to decide; where there is but one id, rights over others mean nothing.
    options.push('--umask', '0', '--caps', identity.kind === 'single' ? 'none' : 'files');
  }
  if (spec.volumes.some(({ maySetId }) => maySetId)) options.push('--may-set-id');
  if (spec.hugePages === true) options.push('--may-use-huge-pages');
  if (spec.mayFork === true) options.push('--may-fork');
  if (spec.mayReadProc === true) options.push('--may-read-proc');
  if (spec.machineCpus !== undefined) options.push('--machine-cpus', String(spec.machineCpus));
  // pk-cell has said how much.
  if (spec.lockedBytes !== undefined) options.push('--may-lock');
  if (spec.noRandomize) options.push('--no-randomize');
  if (spec.hostCpus !== undefined && spec.hostCpus.length > 0) options.push('--cpus', spec.hostCpus.join(','));
  if (spec.memoryNodes !== undefined && spec.memoryNodes.length > 0) options.push('--mems', spec.memoryNodes.join(','));
  if (spec.joinFds.length > 0) options.push('--join', spec.joinFds.join(','));
  for (const [name, value] of Object.entries(spec.rlimits ?? {})) options.push('--rlimit', `${name}=${value}`);
  if (identity.kind === 'range' && spec.groups !== undefined && spec.groups.length > 0)
    options.push('--groups', spec.groups.join(','));
  options.push(...writableIn(spec).flatMap((path) => ['--write', path]));
  if (spec.opened !== undefined) options.push('--open', `${spec.opened.fd},${spec.opened.path}`);
  return options;
}

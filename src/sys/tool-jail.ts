/**
 * The command line that runs a decompressor or unpacker on what others made. Pure. Like a VMM's jail, and less: an empty
 * root with the programs and their libraries, no network, no device, no /proc, no right, and bounds on all it may use.
 */
import { basename } from 'node:path';
import type { LibraryFile } from './libraries.ts';

/** Where the one writable place is seen inside. */
export const TOOL_PLACE = '/out';
const PROGRAMS = '/tool';
/** pk-cell's descriptor of the user namespace that pk-jail enters. */
const GUEST_NAMESPACE_FD = 64;
const CPU_GRACE_SECONDS = 5;
const NEEDED_CAPABILITIES = ['CAP_SETUID', 'CAP_SETGID', 'CAP_SETPCAP'];

export interface ToolBounds {
  /** Of all its processes together where there are control groups, else the address space of each. Whole pages. */
  memoryBytes: number;
  /** Processes and threads. */
  processes: number;
  /** One file that it writes. */
  fileBytes: number;
  /** Time of a CPU, of one process. */
  cpuSeconds: number;
}

export interface ToolJail {
  /** Whom root has the tool run as; other users need a user namespace for it. */
  uid: number | undefined;
  /** Absolute paths on the host. */
  prlimit: string;
  bwrap: string;
  pkCell: string;
  pkJail: string;
  /** The first one runs; others are found by name. */
  programs: readonly { name: string; path: string }[];
  libraries: readonly LibraryFile[];
  libraryPath: string | undefined;
  /** Absolute host path of a file or directory that it may write. */
  place: string | undefined;
  bounds: ToolBounds;
  /** Descriptors of control group files that it writes itself into. */
  joinFds: readonly number[];
  /** Whether a limit on processes counts its own alone. */
  countsByJail: boolean;
  args: readonly string[];
}

/** The whole command line: `prlimit ... [pk-cell ...] bwrap ... pk-jail ... PROGRAM ARG...`. */
export function toolArgv(jail: ToolJail): string[] {
  const root = jail.uid !== undefined;
  const { memoryBytes, processes, fileBytes, cpuSeconds } = jail.bounds;
  // Two limits: the first one says by its signal that it was this one, the second is final.
  const cpu = `--cpu=${cpuSeconds}:${cpuSeconds + CPU_GRACE_SECONDS}`;
  return [
    ...[jail.prlimit, `--as=${memoryBytes}`, `--fsize=${fileBytes}`, cpu, '--core=1', '--nofile=128'],
    '--',
    ...(root ? [jail.pkCell, '--range', `${jail.uid},1`, '--'] : []),
    jail.bwrap,
    // pk-jail is the first process as well, so that all are filtered and none is root's.
    ...['--unshare-pid', '--as-pid-1', '--unshare-net', '--unshare-ipc', '--unshare-uts', '--unshare-cgroup-try'],
    // Like root's in this: what it makes belongs to nobody in particular.
    ...(root ? [] : ['--unshare-user', '--uid', '0', '--gid', '0']),
    ...['--die-with-parent', '--new-session', '--clearenv', '--setenv', 'PATH', PROGRAMS, '--setenv', 'LC_ALL', 'C'],
    ...(jail.libraryPath === undefined ? [] : ['--setenv', 'LD_LIBRARY_PATH', jail.libraryPath]),
    ...(root ? ['--cap-drop', 'ALL', ...NEEDED_CAPABILITIES.flatMap((name) => ['--cap-add', name])] : []),
    ...parentsOf(jail.libraries.map(({ path }) => path)).flatMap((path) => ['--perms', '0755', '--dir', path]),
    ...['--perms', '0755', '--dir', PROGRAMS],
    ...jail.programs.flatMap(({ name, path }) => ['--ro-bind', path, `${PROGRAMS}/${basename(name)}`]),
    ...['--ro-bind', jail.pkJail, `${PROGRAMS}/pk-jail`],
    ...jail.libraries.flatMap(({ path, real }) => ['--ro-bind', real, path]),
    ...(jail.place === undefined ? [] : ['--bind', jail.place, TOOL_PLACE]),
    ...['--remount-ro', '/', '--chdir', '/', '--', `${PROGRAMS}/pk-jail`, '--filter', 'tool'],
    ...(root ? ['--userns', String(GUEST_NAMESPACE_FD)] : []),
    ...(jail.joinFds.length > 0 ? ['--join', jail.joinFds.join(',')] : []),
    // In the jail: outside of it this would count what has nothing to do with it.
    ...(jail.countsByJail ? ['--rlimit', `nproc=${processes}`] : []),
    ...['--', `${PROGRAMS}/${basename(jail.programs[0]!.name)}`, ...jail.args],
  ];
}

/** Every directory above a file, outer ones first: bwrap would make them passable for root alone. */
function parentsOf(paths: readonly string[]): string[] {
  const parents = new Set<string>();
  for (const path of paths) {
    const names = path.split('/').slice(1, -1);
    for (const index of names.keys()) parents.add(`/${names.slice(0, index + 1).join('/')}`);
  }
  return [...parents];
}

/**
 * Finds the programs Polykernel runs: those of the machine first, then those that set-up unpacked into the cache for a
 * user who may not install packages.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { PolykernelError } from './errors.ts';
import { cacheDirectory } from './paths.ts';
import { which } from './process.ts';

/** A program and the environment variables it needs besides the caller's own. */
export interface Tool {
  path: string;
  env: Record<string, string>;
  /** True if it was unpacked into the cache instead of being installed. */
  unpacked: boolean;
}

export interface ToolSearch {
  /** Where packages were unpacked. */
  debian?: string;
  /** False: only among the unpacked packages. */
  installed?: boolean;
}

/** Which Debian or Ubuntu package brings each program. */
export const TOOL_PACKAGES: Readonly<Record<string, string>> = {
  'linux.uml': 'user-mode-linux',
  'qemu-system-x86_64': 'qemu-system-x86',
  bwrap: 'bubblewrap',
  gcc: 'gcc',
  cpp: 'cpp',
  'musl-gcc': 'musl-tools',
  mksquashfs: 'squashfs-tools',
  unsquashfs: 'squashfs-tools',
  sqfstar: 'squashfs-tools',
  'mkfs.ext4': 'e2fsprogs',
  busybox: 'busybox-static',
  xz: 'xz-utils',
  gzip: 'gzip',
  zstd: 'zstd',
  'dpkg-deb': 'dpkg',
  tar: 'tar',
  prlimit: 'util-linux',
  flock: 'util-linux',
  ip: 'iproute2',
  bridge: 'iproute2',
  nft: 'nftables',
  haproxy: 'haproxy',
  wrk: 'wrk',
  bindfs: 'bindfs',
  dtc: 'device-tree-compiler',
  fdtoverlay: 'device-tree-compiler',
  openssl: 'openssl',
  nsenter: 'util-linux',
  mkfifo: 'coreutils',
  sync: 'coreutils',
  'dpkg-query': 'dpkg',
  newuidmap: 'uidmap',
  newgidmap: 'uidmap',
  'lstopo-no-graphics': 'hwloc',
};

const PROGRAM_DIRECTORIES = ['usr/bin', 'usr/sbin', 'bin', 'sbin'];

/** Directory under which packages of a user without root rights are unpacked. */
export function unpackedDirectory(): string {
  return join(cacheDirectory(), 'debian');
}

/** Looks for a program on PATH, in the usual system directories, then among the unpacked packages. */
export function findTool(name: string, search: ToolSearch = {}): Tool | undefined {
  const installed = search.installed === false ? undefined : which(name);
  if (installed !== undefined) return { path: installed, env: {}, unpacked: false };
  const debian = search.debian ?? unpackedDirectory();
  for (const directory of PROGRAM_DIRECTORIES) {
    const path = which(join(debian, directory, name));
    if (path !== undefined) return { path, env: unpackedEnvironment(debian), unpacked: true };
  }
  return undefined;
}

/**
 * Like findTool, for a program that must be there.
 * @throws PolykernelError `unavailable`, naming the package and the command that installs it.
 */
export function toolPath(name: string, search: ToolSearch = {}): Tool {
  const tool = findTool(name, search);
  if (tool) return tool;
  throw new PolykernelError('unavailable', `the program ${name} is missing`, { hint: toolHint(name) });
}

/** How to get a missing program, as a full sentence. */
export function toolHint(name: string): string {
  const owner = TOOL_PACKAGES[name];
  const direct = owner === undefined ? '' : ` (it comes with the package ${owner}: apt-get install ${owner})`;
  return `Run \`pk setup\` to get it${direct}.`;
}

function unpackedEnvironment(debian: string): Record<string, string> {
  const libraries = ['usr/lib', 'lib'].flatMap((base) =>
    // Multiarch directories: x86_64-linux-gnu, aarch64-linux-gnu.
    listDirectory(join(debian, base))
      .filter((entry) => entry.endsWith('-linux-gnu'))
      .map((entry) => join(debian, base, entry)),
  );
  return { LD_LIBRARY_PATH: libraries.join(':') };
}

function listDirectory(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

/** Debian and Ubuntu packages: installed by root, unpacked into the cache for everybody else, or where that is better. */
import { globSync } from 'node:fs';
import { join } from 'node:path';
import { Apt } from '../../src/sys/apt.ts';
import { PolykernelError } from '../../src/sys/errors.ts';
import { findTool, unpackedDirectory } from '../../src/sys/tools.ts';

interface Requirement {
  package: string;
  /** There if this program is found, */
  program?: string;
  /** or this file (`*`: any). Without root rights also below the unpacked packages. */
  file?: string;
  /** Its installation would start a service of the system: root unpacks it as everybody else does. */
  unpack?: true;
}

const REQUIREMENTS: readonly Requirement[] = [
  { package: 'user-mode-linux', program: 'linux.uml' },
  { package: 'qemu-system-x86', program: 'qemu-system-x86_64' },
  { package: 'bubblewrap', program: 'bwrap' },
  // Gives kernels of an ordinary user more than one id. Unpacked it has no rights and is not used.
  { package: 'uidmap', program: 'newuidmap' },
  { package: 'gcc', program: 'gcc' },
  { package: 'libc6-dev', file: '/usr/include/stdio.h' },
  { package: 'musl-tools', program: 'musl-gcc' },
  { package: 'xz-utils', program: 'xz' },
  { package: 'zstd', program: 'zstd' },
  { package: 'squashfs-tools', program: 'sqfstar' },
  { package: 'e2fsprogs', program: 'mkfs.ext4' },
  { package: 'busybox-static', program: 'busybox' },
  { package: 'iproute2', program: 'ip' },
  { package: 'nftables', program: 'nft' },
  { package: 'haproxy', program: 'haproxy', unpack: true },
  // Only for tests and benchmarks: lstopo is what `pk topology` is held against, dtc what `pk dt` is, lspci what `pk pci` is,
  // openssl what `pk image sign` is, wrk asks services, and bindfs serves files as a guest's own server does.
  { package: 'hwloc', program: 'lstopo-no-graphics' },
  { package: 'device-tree-compiler', program: 'dtc' },
  { package: 'pciutils', program: 'lspci' },
  { package: 'openssl', program: 'openssl' },
  { package: 'wrk', program: 'wrk' },
  { package: 'bindfs', program: 'bindfs' },
];

/** What tests run in kernels: tools of every day (20 MB to download where there are none), and a database (70 MB). */
const TEST_REQUIREMENTS: readonly Requirement[] = [
  { package: 'git', program: 'git' },
  { package: 'make', program: 'make' },
  // What the lists of modules are held against.
  { package: 'kmod', program: 'modprobe' },
  { package: 'python3-venv', file: '/usr/lib/python3.*/ensurepip/__init__.py' },
  { package: 'postgresql', file: '/usr/lib/postgresql/*/bin/initdb', unpack: true },
];

/** The C library and what the system runs on must not be shadowed by another version through LD_LIBRARY_PATH. */
const NEVER_UNPACKED = /^(libc6|libc-bin|locales|base-files|dpkg|bash|perl-base)$/;

/** Gets what is missing. Throws `unavailable` naming packages and command. */
export async function ensurePackages(
  cache: string,
  progress: (line: string) => void,
  signal: AbortSignal,
): Promise<void> {
  await ensure(REQUIREMENTS, cache, progress, signal);
}

/** Gets programs that tests run in kernels. Tells what cannot be had: tests of that are skipped. */
export async function ensureTestPackages(
  cache: string,
  progress: (line: string) => void,
  signal: AbortSignal,
): Promise<void> {
  // These tests need several users, which root alone has on every machine.
  if (process.getuid?.() !== 0) return;
  for (const requirement of TEST_REQUIREMENTS)
    await ensure([requirement], cache, progress, signal).catch((error: Error) => {
      if (signal.aborted) throw error;
      progress(`tests of ${requirement.package} are skipped: ${error.message.split('\n', 1)[0]}`);
    });
}

async function ensure(
  requirements: readonly Requirement[],
  cache: string,
  progress: (line: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const absent = requirements.filter((requirement) => !isThere(requirement));
  const missing = absent.map((requirement) => requirement.package);
  if (missing.length === 0) return;
  if (findTool('apt-get') === undefined) {
    throw new PolykernelError('unavailable', `these packages are missing: ${missing.join(', ')}`, {
      hint: 'This machine has no apt-get. Polykernel sets itself up on Debian and Ubuntu; elsewhere install them by hand.',
    });
  }
  const root = process.getuid?.() === 0;
  const apt = new Apt({ directory: join(cache, 'apt'), root, progress, signal });
  const installed = absent.filter(({ unpack }) => root && !unpack).map((requirement) => requirement.package);
  const unpacked = missing.filter((name) => !installed.includes(name));
  if (installed.length > 0) {
    progress(`installing ${installed.join(', ')} (apt-get install)`);
    await apt.install(installed);
  }
  if (unpacked.length > 0) {
    progress(`unpacking ${unpacked.join(', ')} into ${unpackedDirectory()}${root ? '' : ', as you are not root'}`);
    const all = await apt.missing(unpacked);
    await apt.unpack(
      [...new Set([...all, ...unpacked])].filter((name) => !NEVER_UNPACKED.test(name)),
      unpackedDirectory(),
    );
  }
  const still = requirements.filter((requirement) => !isThere(requirement)).map((requirement) => requirement.package);
  if (still.length === 0) return;
  throw new PolykernelError('unavailable', `these packages do not hold what they should: ${still.join(', ')}`, {
    hint: `Look at \`apt-cache policy ${still.join(' ')}\`, or install them by hand: apt-get install ${still.join(' ')}`,
  });
}

function isThere(requirement: Requirement): boolean {
  if (requirement.program !== undefined) return findTool(requirement.program) !== undefined;
  const file = requirement.file!.slice(1);
  return ['/', unpackedDirectory()].some((cwd) => globSync(file, { cwd }).length > 0);
}

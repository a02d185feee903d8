/** The QEMU of this machine: where it is, which version, and which files of the host it needs to run in a jail. */
import { existsSync, realpathSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { PolykernelError } from '../../sys/errors.ts';
import { run } from '../../sys/process.ts';
import { findTool, toolPath } from '../../sys/tools.ts';
import { libraryBinds } from '../jail/host.ts';
import type { Bind } from '../jail/jail.ts';

const NAME = 'qemu-system-x86_64';
/** Firmware lies beside the program, below `share`; which of these exist depends on the distribution. */
const FIRMWARE_DIRECTORIES = ['qemu', 'seabios', 'qemu-kvm', 'qemu/firmware', 'seavgabios'];
const VERSION_DEADLINE_MS = 10_000;

export interface QemuProgram {
  /** Absolute path, the same on the host and in the jail. */
  path: string;
  /** First line of `--version`, with the distribution's revision: templates of another version cannot be used. */
  version: string;
  /** Environment it needs besides PATH. */
  env: Readonly<Record<string, string>>;
  /** Directories with its firmware, the same on the host and in the jail: QEMU 10 unpacked into the cache would look below /usr. */
  firmware: readonly string[];
  binds: readonly Bind[];
}

/**
 * Finds QEMU and what it needs.
 * @throws PolykernelError `unavailable` when it is not installed or does not run
 */
export async function findQemu(): Promise<QemuProgram> {
  const tool = toolPath(NAME);
  const path = realpathSync(tool.path);
  const asked = await run([path, '--version'], { deadlineMs: VERSION_DEADLINE_MS, env: tool.env });
  const version = /^QEMU emulator version .+/.exec(asked.stdout)?.[0];
  if (asked.code !== 0 || version === undefined) {
    throw new PolykernelError('unavailable', `${path} does not run: ${asked.stderr.trim().slice(0, 300)}`, {
      hint: 'Install it again: apt-get install --reinstall qemu-system-x86.',
    });
  }
  const firmware = existing(FIRMWARE_DIRECTORIES.map((name) => join(dirname(path), '../share', name)));
  const libraries = await libraryBinds(path, tool.env.LD_LIBRARY_PATH);
  return {
    path,
    version,
    env: tool.env,
    firmware: firmware.map(({ target }) => target),
    binds: [
      { source: path, target: path, access: 'read' },
      ...directoriesOf(libraries),
      ...modules(libraries),
      ...firmware,
    ],
  };
}

export function isInstalled(): boolean {
  return findTool(NAME) !== undefined;
}

/**
 * Library directories as wholes where many libraries share one: a mount per library would take longer than all else that
 * the jail does. The loader's own path stays a file.
 */
function directoriesOf(libraries: readonly Bind[]): Bind[] {
  const binds = new Map<string, Bind>();
  for (const library of libraries) {
    const target = dirname(library.target);
    const isLoader = /\/ld[^/]*\.so[^/]*$/.test(library.target);
    const bind: Bind = isLoader ? library : { source: realpathSync(target), target, access: 'read' };
    binds.set(bind.target, bind);
  }
  return [...binds.values()];
}

/** QEMU's own loadable parts, among them the emulator: below the real library directory, whatever leads there. */
function modules(libraries: readonly Bind[]): Bind[] {
  return existing([...new Set(libraries.map(({ source }) => join(dirname(source), 'qemu')))]);
}

function existing(paths: readonly string[]): Bind[] {
  return paths
    .filter((path) => existsSync(path))
    .map((path) => ({ source: realpathSync(path), target: path, access: 'read' }));
}

/** The device that KVM needs, and the group that may open it. */
export function kvmBind(): { bind: Bind; group: number } {
  return { bind: { source: '/dev/kvm', target: '/dev/kvm', access: 'device' }, group: statSync('/dev/kvm').gid };
}

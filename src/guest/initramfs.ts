/** Writer of the `newc` cpio archives that Linux unpacks as its first file system (initramfs buffer format). */

export type InitramfsEntry =
  | { kind: 'file'; path: string; mode: number; content: Uint8Array }
  | { kind: 'directory'; path: string; mode: number }
  | { kind: 'symlink'; path: string; target: string }
  | { kind: 'character'; path: string; mode: number; major: number; minor: number };

const TYPE_BITS = { file: 0o100000, directory: 0o040000, symlink: 0o120000, character: 0o020000 } as const;
const TRAILER = 'TRAILER!!!';

/**
 * The archive as bytes, the same for the same entries: inode numbers count up and times are 0. Paths are relative or
 * absolute, written without the leading slash; directories must come before what is in them. Parents that no entry
 * names are added with mode 0755.
 */
export function buildInitramfs(entries: readonly InitramfsEntry[]): Buffer {
  const parts: Buffer[] = [];
  const written = new Set<string>(['']);
  let inode = 0;
  const add = (name: string, mode: number, content: Uint8Array, major = 0, minor = 0) => {
    const path = Buffer.from(name + '\0');
    // inode, mode, uid, gid, links, time, size, device major and minor, own major and minor, name size, checksum
    const fields = [++inode, mode, 0, 0, 1, 0, content.length, 0, 0, major, minor, path.length, 0];
    const header = '070701' + fields.map((field) => field.toString(16).padStart(8, '0')).join('');
    parts.push(padded(Buffer.concat([Buffer.from(header, 'latin1'), path])), padded(content));
  };
  for (const entry of entries) {
    const name = entry.path.replace(/^\/+|\/+$/g, '');
    for (const parent of parents(name)) {
      if (written.has(parent)) continue;
      written.add(parent);
      add(parent, TYPE_BITS.directory | 0o755, Buffer.alloc(0));
    }
    if (entry.kind === 'directory' && written.has(name)) continue;
    written.add(name);
    const mode = TYPE_BITS[entry.kind] | (entry.kind === 'symlink' ? 0o777 : entry.mode & 0o7777);
    if (entry.kind === 'file') add(name, mode, entry.content);
    else if (entry.kind === 'symlink') add(name, mode, Buffer.from(entry.target));
    else if (entry.kind === 'character') add(name, mode, Buffer.alloc(0), entry.major, entry.minor);
    else add(name, mode, Buffer.alloc(0));
  }
  add(TRAILER, 0, Buffer.alloc(0));
  return Buffer.concat(parts);
}

/** A module to be loaded at boot: file name in the archive, content, and `name=value` parameters. */
export interface BootModule {
  name: string;
  content: Uint8Array;
  parameters?: string;
}

/** Where modules lie in the archive: `/lib/modules/NAME`. */
export const MODULE_DIRECTORY = '/lib/modules';

/** The programs of ours in a guest. */
export interface GuestPrograms {
  /** pk-init. */
  init: Uint8Array;
  /** By name; to be found in /run/pk/bin. */
  tools: Readonly<Record<string, Uint8Array>>;
}

/**
 * The entries every guest boots from: pk-init as /init, tools that it shows in /run/pk/bin, a console, mount points, and
 * modules. `boot` modules are loaded
 * in order by pk-init before it opens the control line; `later` ones wait for a `module=` step.
 */
export function guestEntries(
  { init, tools }: GuestPrograms,
  boot: readonly BootModule[] = [],
  later: readonly BootModule[] = [],
): InitramfsEntry[] {
  const list = boot
    .map(({ name, parameters }) => `${MODULE_DIRECTORY}/${name}${parameters ? ` ${parameters}` : ''}\n`)
    .join('');
  return [
    ...['/dev', '/proc', '/sys', '/run', '/etc', '/newroot', '/pk'].map(
      (path) => ({ kind: 'directory', path, mode: 0o755 }) as const,
    ),
    { kind: 'character', path: '/dev/console', mode: 0o600, major: 5, minor: 1 },
    { kind: 'file', path: '/init', mode: 0o755, content: init },
    ...Object.entries(tools).map(
      ([name, content]) => ({ kind: 'file', path: `/pk/${name}`, mode: 0o755, content }) as const,
    ),
    { kind: 'file', path: '/etc/modules', mode: 0o644, content: Buffer.from(list) },
    ...[...boot, ...later].map(
      ({ name, content }) => ({ kind: 'file', path: `${MODULE_DIRECTORY}/${name}`, mode: 0o644, content }) as const,
    ),
  ];
}

function parents(path: string): string[] {
  const names = path.split('/');
  return names.slice(1).map((_, index) => names.slice(0, index + 1).join('/'));
}

function padded(bytes: Uint8Array): Buffer {
  const rest = bytes.length % 4;
  return rest === 0 ? Buffer.from(bytes) : Buffer.concat([bytes, Buffer.alloc(4 - rest)]);
}

/** Writer of the newc cpio format that the kernel unpacks as initramfs (Documentation/driver-api/early-userspace/buffer-format.rst of Linux). */

export interface CpioEntry {
  /** Without leading slash. Directories that lead to it are added. */
  path: string;
  /** Permission bits. */
  mode: number;
  content: Buffer;
}

const REGULAR = 0o100000;
const DIRECTORY = 0o040755;
const ALIGNMENT = 4;

/** One archive with the entries, and before each the directories it lies in. Everything belongs to root, at time 0. */
export function buildCpio(entries: readonly CpioEntry[]): Buffer {
  const parts: Buffer[] = [];
  const directories = new Set<string>();
  let inode = 1;
  const add = (path: string, mode: number, content: Buffer) => {
    parts.push(...record(path, mode, content, inode));
    inode += 1;
  };
  for (const entry of entries) {
    const steps = entry.path.split('/').slice(0, -1);
    for (const [index] of steps.entries()) {
      const directory = steps.slice(0, index + 1).join('/');
      if (!directories.has(directory)) add(directory, DIRECTORY, Buffer.alloc(0));
      directories.add(directory);
    }
    add(entry.path, REGULAR | entry.mode, entry.content);
  }
  parts.push(...record('TRAILER!!!', 0, Buffer.alloc(0), 0));
  return Buffer.concat(parts);
}

function record(path: string, mode: number, content: Buffer, inode: number): Buffer[] {
  const name = Buffer.from(`${path}\0`);
  const links = mode === DIRECTORY ? 2 : 1;
  // ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
  const fields = [inode, mode, 0, 0, links, 0, content.length, 0, 0, 0, 0, name.length, 0];
  const header = Buffer.from(`070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`);
  return [header, name, padding(header.length + name.length), content, padding(content.length)];
}

function padding(length: number): Buffer {
  return Buffer.alloc((ALIGNMENT - (length % ALIGNMENT)) % ALIGNMENT);
}

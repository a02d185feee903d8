/** The host kernel's files (procfs, sysfs, cgroupfs) below a root. An interface, so that tests can play the kernel. */
import {
  accessSync,
  closeSync,
  constants,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';

/** Paths are absolute, as on the host itself. All calls are synchronous: these files are in memory. */
export interface HostFiles {
  /** Content without the line end; undefined when there is no such file or it cannot be read. */
  read(path: string): string | undefined;
  /** Writes an existing file in one call. Throws what the kernel refuses with, as an errno error. */
  write(path: string, text: string): void;
  /** Names in a directory, ascending; none when it cannot be read. */
  list(path: string): string[];
  /** Names of the directories in a directory, likewise. */
  directories(path: string): string[];
  /** Makes one directory; one that exists is fine. Throws an errno error. */
  makeDirectory(path: string): void;
  /** Removes one directory; one that does not exist is fine. Throws an errno error: EBUSY while it is in use. */
  removeDirectory(path: string): void;
  /** Whether this process may write there. */
  isWritable(path: string): boolean;
}

/** The files of the machine whose root directory is at `root`. */
export function hostFiles(root = '/'): HostFiles {
  const at = (path: string) => join(root, path);
  const entries = (path: string) => {
    try {
      return readdirSync(at(path), { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1));
    } catch {
      return [];
    }
  };
  return {
    read(path) {
      try {
        return readFileSync(at(path), 'latin1').replace(/\n$/, '');
      } catch {
        return undefined;
      }
    },
    // Neither created nor truncated: a control file is there or it is not.
    write(path, text) {
      const file = openSync(at(path), constants.O_WRONLY);
      try {
        writeSync(file, text);
      } finally {
        closeSync(file);
      }
    },
    list: (path) => entries(path).map(({ name }) => name),
    directories: (path) =>
      entries(path)
        .filter((entry) => entry.isDirectory())
        .map(({ name }) => name),
    makeDirectory(path) {
      ignoring('EEXIST', () => mkdirSync(at(path)));
    },
    removeDirectory(path) {
      ignoring('ENOENT', () => rmdirSync(at(path)));
    },
    isWritable(path) {
      try {
        accessSync(at(path), constants.W_OK);
        return true;
      } catch {
        return false;
      }
    },
  };
}

function ignoring(code: string, body: () => void): void {
  try {
    body();
  } catch (error) {
    if (errnoOf(error) !== code) throw error;
  }
}

/** `EBUSY` and the like. Throws `error` itself when the kernel did not refuse anything: then it is a fault of ours. */
export function errnoOf(error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code;
  if (error instanceof Error && typeof code === 'string' && /^E[A-Z0-9]+$/.test(code)) return code;
  throw error;
}

/** Nobody may change it. */
export const MANAGED = 'the host kernel manages it itself';

const REASONS: Record<string, string> = {
  EROFS: 'the file system is read-only here',
  EIO: MANAGED,
  EBUSY: 'it is in use',
  ENOTEMPTY: 'it is in use',
  EINVAL: 'the host kernel does not accept the value',
  ENOENT: 'there is no such thing any more',
  ENODEV: 'there is no such thing any more',
  ENOSPC: 'the host kernel has no room for it',
};

/** For people: why the kernel refused. */
export function reasonOf(error: unknown): string {
  const code = errnoOf(error);
  if (code === 'EACCES' || code === 'EPERM') {
    return process.getuid?.() === 0 ? 'the host kernel does not allow it' : 'only root may';
  }
  return REASONS[code] ?? `the host kernel answered ${code}`;
}

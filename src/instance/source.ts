/**
 * What a path of the host stood for when somebody gave it as a root or a volume. A guest may own a directory on the way
 * there, so that the path alone proves nothing at the next start: see pk-cell, which opens it.
 */
import type { BigIntStats } from 'node:fs';
import { lstat, stat } from 'node:fs/promises';
import type { Source } from '../image/contract.ts';
import { asPolykernelError, PolykernelError } from '../sys/errors.ts';
import { patiently } from '../sys/patience.ts';
import { initrdProblem, unfit } from './initrd-file.ts';
import type { InstanceSpec } from './spec.ts';
import { followOwnLinks } from './way.ts';

export interface Sources {
  /** null for the machine's own files. */
  root: Source | null;
  volumes: readonly Source[];
  /** The caller's working directory, which the machine's own files show wherever it lies; undefined: never looked at. */
  shown?: Source | null;
  /** The file that goes before the agent's initramfs; undefined or null: there is none. */
  initrd?: Source | null;
}

interface Paths {
  initrd?: string | null;
  root: string;
  cwd: string;
  volumes: readonly { source: string }[];
}

/**
 * What a request's paths stand for now. Throws `not-found`, `permission` or `invalid` naming the field, `conflict` for a link in one
 * of the directories `writable`, to which guests may write, `unavailable` where a file system does not answer.
 */
export async function acceptSources(
  { root, cwd, volumes, initrd }: Paths,
  writable: readonly string[],
): Promise<Sources> {
  const each = volumes.map(({ source }, index) => accept(`volumes[${index}].source`, source, writable));
  return {
    root: root === 'host' ? null : await accept('root', root, writable),
    volumes: await Promise.all(each),
    shown: root === 'host' ? await acceptShown(cwd, writable) : null,
    ...(initrd && { initrd: await acceptArchive(initrd, writable) }),
  };
}

/** What the kernel would panic of is refused here. Throws as acceptSources(). */
async function acceptArchive(given: string, writable: readonly string[]): Promise<Source> {
  const source = await accept('initrd', given, writable);
  const what = await initrdProblem(source.path).catch((error) => {
    throw asPolykernelError(error, `initrd: reading ${given}`);
  });
  if (what !== undefined) throw unfit(given, what);
  return source;
}

/** What guests may write to, of instances that run or may be started. */
export function writableBy(records: Iterable<{ spec: InstanceSpec; sources: Sources | null }>): string[] {
  return [...records].flatMap(({ spec, sources }) =>
    spec.volumes.flatMap(({ source, readOnly }, index) => (readOnly ? [] : (sources?.volumes[index]?.path ?? source))),
  );
}

/** null where the machine has no such directory: it may be one of the guest's own. */
async function acceptShown(cwd: string, writable: readonly string[]): Promise<Source | null> {
  try {
    const { path, status } = await look('cwd', cwd, writable);
    return status.isDirectory() ? seen(path, status) : null;
  } catch (error) {
    if (error instanceof PolykernelError) throw error;
    return null;
  }
}

async function accept(field: string, given: string, writable: readonly string[]): Promise<Source> {
  try {
    const { path, status } = await look(field, given, writable);
    if (!status.isDirectory() && !status.isFile()) {
      throw new PolykernelError('invalid', `${field}: ${given} is neither a directory nor a file`, {
        field,
        value: given,
        hint: 'Give a directory, or a regular file.',
      });
    }
    return seen(path, status);
  } catch (error) {
    if (error instanceof PolykernelError) throw error;
    if ((error as NodeJS.ErrnoException).code === 'ENOENT')
      throw new PolykernelError('not-found', `${field}: there is no ${given} on this machine`, {
        field,
        value: given,
        hint: 'Make it, or give the path of one that exists.',
      });
    const { code, message } = asPolykernelError(error, `${field}: looking at ${given}`);
    throw new PolykernelError(code, message, { field, value: given, cause: error });
  }
}

const look = (field: string, given: string, writable: readonly string[]) =>
  patiently(given, async () => {
    const path = await followOwnLinks(field, given, writable);
    return { path, status: await stat(path, { bigint: true }) };
  });

const seen = (path: string, status: BigIntStats): Source => ({
  path,
  uid: Number(status.uid),
  inode: String(status.ino),
});

/**
 * After a run: to whom its writable volumes belong now, where they are still what was given. A guest may give them away, as
 * images of databases do; what happens while no kernel of the instance runs is somebody else's doing.
 */
export async function ownersAfterRun(sources: Sources, volumes: readonly { readOnly: boolean }[]): Promise<Sources> {
  const afterRun = async (source: Source, index: number): Promise<Source> => {
    if (volumes[index]?.readOnly !== false) return source;
    try {
      const status = await patiently(source.path, () => lstat(source.path, { bigint: true }));
      return String(status.ino) === source.inode ? { ...source, uid: Number(status.uid) } : source;
    } catch {
      // Gone, or out of reach: the next start says so.
      return source;
    }
  };
  return { ...sources, volumes: await Promise.all(sources.volumes.map(afterRun)) };
}

/**
 * That a file is still the one that was given, for one that is read here and not by pk-cell.
 * Throws `conflict` when it is not.
 */
export async function checkSource(source: Source, field = 'root'): Promise<void> {
  const now = await accept(field, source.path, []);
  if (now.path === source.path && now.uid === source.uid) return;
  throw changed(
    field,
    source.path,
    now.path === source.path ? 'belongs to another user now' : 'is a symbolic link now',
  );
}

export const changed = (field: string, path: string, how: string): PolykernelError =>
  new PolykernelError('conflict', `${field}: ${path} ${how}`, {
    field,
    value: path,
    hint: 'If that is as it should be, remove the instance and create it anew.',
  });

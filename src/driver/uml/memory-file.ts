/** Where the memory of a kernel of User Mode Linux is: in a file that its process has open, and that has no name any more. */
import { constants, type Stats } from 'node:fs';
import { type FileHandle, open, readdir, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { readSmallFile } from '../../sys/small-file.ts';

/** It is among the first files that the kernel opens. */
const MOST_DESCRIPTORS = 1024;

/** Whether a file is called so that is made for memory. What a process has open is called as it likes. */
export const isMemoryPath = (path: string): boolean => /\/(?:#\d{1,20}|vm_file-\w{6}) \(deleted\)$/.test(path);

/**
 * Of the process at `proc`, the first file of that name that is the right one; undefined when it has none. With `mount`, as the host's
 * kernel numbers them, one that lies on another is not opened: it may be of a volume whose file system never answers.
 */
export async function openMemoryFile(
  proc: string,
  access: number,
  isRight: (facts: Stats) => boolean,
  mount?: number,
): Promise<FileHandle | undefined> {
  for (const name of (await readdir(join(proc, 'fd'))).slice(0, MOST_DESCRIPTORS)) {
    const path = join(proc, 'fd', name);
    if (!isMemoryPath(await readlink(path).catch(() => ''))) continue;
    if (mount !== undefined && mountOf(join(proc, 'fdinfo', name)) !== mount) continue;
    // Whatever it really is: nothing is waited for.
    const file = await open(path, access | constants.O_NONBLOCK | constants.O_NOCTTY).catch(() => undefined);
    const facts = await file?.stat();
    if (file !== undefined && facts?.isFile() && isRight(facts)) return file;
    await file?.close();
  }
  return undefined;
}

/** Of an open file. */
function mountOf(fdinfo: string): number | undefined {
  const id = /^mnt_id:\t(\d{1,10})$/m.exec(readSmallFile(fdinfo) ?? '')?.[1];
  return id === undefined ? undefined : Number(id);
}

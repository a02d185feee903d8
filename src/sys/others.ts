/** What others may reach of the host's files: a kernel's processes are nobody there, or this user. */
import { constants } from 'node:fs';
import { access, realpath, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { patiently } from './patience.ts';

const OTHERS_ENTER = 0o001;

/**
 * The outermost directory on the way to `path`, itself included, that `who` may not enter; undefined where there is none.
 * Symbolic links are followed; what does not exist stops nobody. Rejects as patiently().
 */
export async function closedOnTheWay(path: string, who: 'everybody' | 'this user'): Promise<string | undefined> {
  return await patiently(path, async () => {
    const mayEnter = who === 'everybody' ? everybodyMayEnter : thisUserMayEnter;
    let closed: string | undefined;
    for (let each = await deepest(path); ; each = dirname(each)) {
      if (!(await mayEnter(each))) closed = each;
      if (each === '/') return closed;
    }
  });
}

/** Whether a path of the guest lies in one of these directories of it, or is one. */
export const liesIn = (path: string, directories: readonly string[]): boolean =>
  directories.some((each) => path === each || path.startsWith(`${each}/`));

/** As much of the way as there is, or can be looked at. */
async function deepest(path: string): Promise<string> {
  for (let each = path; each !== '/'; each = dirname(each)) {
    try {
      return await realpath(each);
    } catch {
      // Perhaps what it lies in.
    }
  }
  return '/';
}

async function everybodyMayEnter(path: string): Promise<boolean> {
  try {
    const status = await stat(path);
    return !status.isDirectory() || (status.mode & OTHERS_ENTER) !== 0;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return true;
    throw error;
  }
}

async function thisUserMayEnter(path: string): Promise<boolean> {
  try {
    if ((await stat(path)).isDirectory()) await access(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

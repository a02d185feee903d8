/** What others may reach of the host's files: a kernel's processes are nobody there, or this user. */
import { accessSync, constants, realpathSync, statSync } from 'node:fs';
import { dirname } from 'node:path';

const OTHERS_ENTER = 0o001;

/**
 * The outermost directory on the way to `path`, itself included, that `who` may not enter; undefined where there is none.
 * Symbolic links are followed; what does not exist stops nobody.
 */
export function closedOnTheWay(path: string, who: 'everybody' | 'this user'): string | undefined {
  const mayEnter = who === 'everybody' ? everybodyMayEnter : thisUserMayEnter;
  let closed: string | undefined;
  for (let each = deepest(path); ; each = dirname(each)) {
    if (!mayEnter(each)) closed = each;
    if (each === '/') return closed;
  }
}

/** Whether a path of the guest lies in one of these directories of it, or is one. */
export const liesIn = (path: string, directories: readonly string[]): boolean =>
  directories.some((each) => path === each || path.startsWith(`${each}/`));

/** As much of the way as there is, or can be looked at. */
function deepest(path: string): string {
  for (let each = path; each !== '/'; each = dirname(each)) {
    try {
      return realpathSync(each);
    } catch {
      // Perhaps what it lies in.
    }
  }
  return '/';
}

function everybodyMayEnter(path: string): boolean {
  const status = statSync(path, { throwIfNoEntry: false });
  return status === undefined || !status.isDirectory() || (status.mode & OTHERS_ENTER) !== 0;
}

function thisUserMayEnter(path: string): boolean {
  try {
    if (statSync(path).isDirectory()) accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

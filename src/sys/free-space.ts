/** Room on disks: what is unpacked may be a thousand times what was given, and a full disk stops everything on the host. */
import { statfsSync } from 'node:fs';
import { PolykernelError } from './errors.ts';
import { formatBytes } from './units.ts';

/** Bytes of the file system that holds a path: those that this user may still fill, and all. */
export type SpaceOf = (path: string) => { free: number; size: number };

export const spaceOf: SpaceOf = (path) => {
  const { bavail, blocks, bsize } = statfsSync(path);
  return { free: bavail * bsize, size: blocks * bsize };
};

const MOST_RESERVE = 2 ** 30;

/** Bytes that are left free for all else: a twentieth of the file system, at most 1 GiB. */
const reserveOf = (size: number): number => Math.min(MOST_RESERVE, Math.floor(size / 20));

/** Bytes that may be written beside `path`, without the reserve. */
export function roomAt(path: string, space: SpaceOf = spaceOf): number {
  const { free, size } = space(path);
  return free - reserveOf(size);
}

/**
 * Throws `internal`, naming the path, what is free and what is needed, unless `need` bytes can be written beside `path`.
 * @param subject for people: what is to be written there
 */
export function checkRoom(path: string, need: number, subject: string, space: SpaceOf = spaceOf): void {
  const { free, size } = space(path);
  const reserve = reserveOf(size);
  if (free - reserve >= need) return;
  const wanted = need > 0 ? `it needs ${formatBytes(need)}, and ${formatBytes(reserve)}` : formatBytes(reserve);
  throw new PolykernelError(
    'internal',
    `there is no room for ${subject} in ${path}: ${formatBytes(free)} are free there, ${wanted} have to stay free`,
    {
      field: 'POLYKERNEL_CACHE',
      value: path,
      hint: 'Make room on that file system, or set POLYKERNEL_CACHE to a directory on another one.',
    },
  );
}

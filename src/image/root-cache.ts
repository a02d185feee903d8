/**
 * Keeps the roots in the cache from filling the disk. Each can be made again from its archive, so that any may go but those
 * that somebody has a lease of (root-lease.ts).
 */
import { readdirSync, statSync, utimesSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { roomAt, type SpaceOf, spaceOf } from '../sys/free-space.ts';
import { whileUnleased } from './root-lease.ts';

const IMAGE = /^[0-9a-f]{64}\.squashfs$/;
const PARTIAL = /^[0-9a-f]{64}\.partial$/;
/** Of the file system: all roots together. */
const MOST_SHARE = 1 / 4;
/** Longer than anybody packs. */
const ABANDONED_MS = 2 * 60 * 60_000;

/** Notes that an image is given to somebody: its time of change says when. False when it is not there. */
export function noteGiven(image: string): boolean {
  try {
    const now = new Date();
    utimesSync(image, now, now);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}

/**
 * Makes room for `need` more bytes, and for the bound on all roots together. Those that were given longest ago go first; what
 * cannot be had is left to checkRoom(). Also removes what a killed process left unfinished.
 */
export async function makeRoom(store: string, need: number, space: SpaceOf = spaceOf): Promise<void> {
  const files = readdirSync(store).flatMap((name) => {
    const status = statSync(join(store, name), { throwIfNoEntry: false });
    return status?.isFile() ? [{ name, bytes: status.blocks * 512, at: status.mtimeMs }] : [];
  });
  const now = Date.now();
  for (const { name, at } of files)
    if (PARTIAL.test(name) && now - at > ABANDONED_MS) await rm(join(store, name), { force: true });
  const images = files.filter(({ name }) => IMAGE.test(name)).sort((a, b) => a.at - b.at);
  const most = space(store).size * MOST_SHARE;
  let total = images.reduce((sum, { bytes }) => sum + bytes, 0);
  const isOver = () => total + need > most || roomAt(store, space) < need;
  if (!isOver()) return;
  for (const { name, bytes } of images) {
    if (!isOver()) return;
    const remove = () => rm(join(store, name), { force: true });
    if (await whileUnleased(store, name.slice(0, -'.squashfs'.length), remove)) total -= bytes;
  }
}

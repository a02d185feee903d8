/** Removing a directory in which somebody hostile could write while a kernel ran. */
import { randomBytes } from 'node:crypto';
import type { Dir, Dirent } from 'node:fs';
import { chmod, constants, lstat, open, opendir, rename, rmdir, unlink } from 'node:fs/promises';
import { PolykernelError } from './errors.ts';

/** Refers to a directory without reading it, so that its mode does not matter; open(2). Node.js does not name it. */
const O_PATH = 0o10000000;

/**
 * Removes a directory and all below it; one that is not there is fine. No link is followed. Directories that shut their
 * owner out are opened again. Depth and number do not matter: directories are moved up before they are emptied, one entry
 * is handled at a time, and other work of this thread goes on meanwhile. Nobody else may write there any more.
 * Rejects with `internal`, naming the first of what could not be removed, after all else is gone.
 */
export async function removeTree(directory: string): Promise<void> {
  const top = Buffer.from(directory);
  const removal = new Removal(top);
  if (await removal.enter(top)) {
    do await removal.pass();
    while (removal.progress > 0 && !removal.empty);
  }
  await removal.end();
}

/** Paths are bytes: names need not be text. */
class Removal {
  /** Entries removed or moved up in the last pass. */
  progress = 0;
  empty = false;
  readonly #top: Buffer;
  readonly #prefix = `removing-${randomBytes(8).toString('hex')}-`;
  #moved = 0;
  /** The first of what is left, why, and how many there are. */
  #left: { path: Buffer; reason: string; count: number } | undefined;

  constructor(top: Buffer) {
    this.#top = top;
  }

  /** Handles each entry of the top directory once. */
  async pass(): Promise<void> {
    this.progress = 0;
    this.empty = true;
    this.#left = undefined;
    await this.#each(this.#top, async (path, isDirectory) => {
      this.empty = false;
      if (!isDirectory) return await this.#attempt(path, () => unlink(path));
      await this.#hollow(path);
      await this.#attempt(path, () => rmdir(path));
    });
  }

  /** Lets its owner in. False when there is no such directory, or when it is none. */
  async enter(path: Buffer): Promise<boolean> {
    try {
      const handle = await open(path, O_PATH | constants.O_NOFOLLOW | constants.O_DIRECTORY);
      try {
        const itself = `/proc/self/fd/${handle.fd}`;
        const { mode } = await handle.stat();
        if ((mode & 0o700) !== 0o700) await chmod(itself, 0o700);
      } finally {
        await handle.close();
      }
      return true;
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') this.#note(path, error);
      return false;
    }
  }

  async end(): Promise<void> {
    if (this.empty) await this.#attempt(this.#top, () => rmdir(this.#top));
    if (this.#left === undefined) return;
    const { path, reason, count } = this.#left;
    // The name may be a guest's, and would speak to a terminal.
    const shown = path.toString('latin1').replace(/[^\x20-\x7e]/g, '?');
    const more = count === 1 ? '' : `, nor ${count - 1} more below ${this.#top}`;
    throw new PolykernelError('internal', `${shown} cannot be removed (${reason})${more}`, {
      value: this.#top.toString(),
      hint: `Remove ${this.#top} by hand.`,
    });
  }

  /** Takes the files out of a directory of the top one, and moves its directories up. */
  async #hollow(directory: Buffer): Promise<void> {
    if (!(await this.enter(directory))) return;
    await this.#each(directory, async (path, isDirectory) => {
      if (!isDirectory) return await this.#attempt(path, () => unlink(path));
      // Without the right to write in it, its link to its parent cannot be changed.
      if (await this.enter(path))
        await this.#attempt(path, () => rename(path, below(this.#top, `${this.#prefix}${this.#moved++}`)));
    });
  }

  async #each(directory: Buffer, act: (path: Buffer, isDirectory: boolean) => Promise<void>): Promise<void> {
    let entries: Dir;
    try {
      entries = await opendir(directory, { bufferSize: 64, encoding: 'latin1' });
    } catch (error) {
      return this.#note(directory, error);
    }
    for await (const entry of entries) {
      const path = below(directory, entry.name);
      await act(path, await isDirectory(path, entry));
    }
  }

  async #attempt(path: Buffer, remove: () => Promise<void>): Promise<void> {
    try {
      await remove();
      this.progress++;
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') this.#note(path, error);
    }
  }

  #note(path: Buffer, error: unknown): void {
    // That a directory is not empty only follows from what was refused in it.
    if (['ENOTEMPTY', 'EEXIST'].includes(codeOf(error)) && this.#left !== undefined) return;
    this.#left ??= { path, reason: codeOf(error), count: 0 };
    this.#left.count++;
  }
}

/** Some file systems do not tell with the name. */
async function isDirectory(path: Buffer, entry: Dirent): Promise<boolean> {
  if (entry.isDirectory()) return true;
  if (entry.isFile() || entry.isSymbolicLink() || entry.isSocket() || entry.isFIFO()) return false;
  return await lstat(path).then(
    (stats) => stats.isDirectory(),
    () => false,
  );
}

/** A name as opendir gives it here: one character for each byte. */
const below = (directory: Buffer, name: string): Buffer =>
  Buffer.concat([directory, Buffer.from(`/${name}`, 'latin1')]);

const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? String(error);

/** Files of /proc and the like, read many times a second: three system calls instead of the five of readFileSync. */
import { closeSync, openSync, readSync } from 'node:fs';

const buffer = Buffer.allocUnsafeSlow(4096);

/** The first 4096 bytes, as latin1; undefined when it cannot be read. Not for files that come in several reads. */
export function readSmallFile(path: string): string | undefined {
  let file: number | undefined;
  try {
    file = openSync(path, 'r');
    return buffer.toString('latin1', 0, readSync(file, buffer));
  } catch {
    return undefined;
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

const PIECE_BYTES = 64 * 1024;

/**
 * The first `most` bytes of a file that comes in several reads, as latin1; undefined when it cannot be read. What /proc has of a process
 * can be as long as that likes: 65,530 mappings with a path of 4 KiB each.
 */
export function readMost(path: string, most: number): string | undefined {
  let file: number | undefined;
  try {
    file = openSync(path, 'r');
    const piece = Buffer.allocUnsafeSlow(Math.min(PIECE_BYTES, most));
    let text = '';
    for (let read = -1; read !== 0 && text.length < most; ) {
      read = readSync(file, piece, 0, Math.min(piece.length, most - text.length), null);
      text += piece.toString('latin1', 0, read);
    }
    return text;
  } catch {
    return undefined;
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

/** Files of /proc that are read again and again, for as long as they can be: one system call each. */
export class HeldFiles {
  readonly #files: number[] = [];
  #complete = true;

  constructor(paths: readonly string[]) {
    try {
      for (const path of paths) this.#files.push(openSync(path, 'r'));
    } catch {
      this.#complete = false;
    }
  }

  /** Their texts as of now, as readSmallFile(); undefined when one of them cannot be read. */
  read(): string[] | undefined {
    if (!this.#complete) return undefined;
    try {
      return this.#files.map((file) => buffer.toString('latin1', 0, readSync(file, buffer, 0, buffer.length, 0)));
    } catch {
      return undefined;
    }
  }

  close(): void {
    for (const file of this.#files.splice(0)) closeSync(file);
    this.#complete = false;
  }
}

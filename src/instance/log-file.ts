/** A log in two files as it is read: in blocks, between which everything else goes on. */
import { closeSync, existsSync, fstatSync, openSync, readSync, statSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { countStreamed } from '../sys/node.ts';

/** A slice: even the worst text of a guest is gone through in a few milliseconds. */
const BLOCK_BYTES = 64 * 1024;
const LINE_FEED = 10;

/** What a reader may follow. `changed` resolves when there may be more; `over` says that nothing will come any more. */
export interface Following {
  changed(signal: AbortSignal): Promise<void>;
  over(): boolean;
}

export interface Reading {
  path: string;
  /** Begin only with so many of the last lines. */
  tail?: number | undefined;
  /** Undefined: end at the end of what is there. */
  following?: Following | undefined;
}

/**
 * The bytes of FILE.1 and FILE, then of FILE as it grows. A file that is rotated away is read to its end first, through
 * the descriptor that still has it.
 */
export async function* readBlocks({ path, tail, following }: Reading, signal: AbortSignal): AsyncGenerator<Buffer> {
  let file = LogFile.open(path);
  const older = LogFile.open(`${path}.1`);
  try {
    const missing = tail === undefined ? Infinity : tail - ((await file?.seekLast(tail)) ?? 0);
    if (missing > 0 && older !== undefined) {
      if (missing < Infinity) await older.seekLast(missing);
      yield* older.blocks(signal);
    }
    while (!signal.aborted) {
      // Asked before reading, so that what is written in between is not missed.
      const over = following?.over() ?? true;
      if (file !== undefined) yield* file.blocks(signal);
      if (file === undefined || file.isReplacedAt(path)) {
        const next = LogFile.open(path);
        if (next !== undefined) {
          yield* file?.blocks(signal) ?? [];
          file?.close();
          file = next;
          continue;
        }
      }
      if (over) break;
      await following?.changed(signal);
    }
  } finally {
    file?.close();
    older?.close();
  }
}

class LogFile {
  readonly #file: number;
  readonly #inode: number;
  #at = 0;

  private constructor(file: number) {
    this.#file = file;
    this.#inode = fstatSync(file).ino;
  }

  static open(path: string): LogFile | undefined {
    return existsSync(path) ? new LogFile(openSync(path, 'r')) : undefined;
  }

  /** What is there from here on. */
  async *blocks(signal: AbortSignal): AsyncGenerator<Buffer> {
    while (!signal.aborted) {
      const block = Buffer.allocUnsafeSlow(BLOCK_BYTES);
      const size = readSync(this.#file, block, 0, BLOCK_BYTES, this.#at);
      if (size === 0) return;
      this.#at += size;
      countStreamed(size);
      yield block.subarray(0, size);
      await nextTurn();
    }
  }

  /** Goes to where the last `lines` lines begin; tells how many of them there are. */
  async seekLast(lines: number): Promise<number> {
    const { size } = fstatSync(this.#file);
    this.#at = lines > 0 ? 0 : size;
    if (lines === 0 || size === 0) return 0;
    const block = Buffer.allocUnsafeSlow(BLOCK_BYTES);
    let found = 1;
    for (let end = size; end > 0; await nextTurn()) {
      const begin = Math.max(0, end - BLOCK_BYTES);
      const read = readSync(this.#file, block, 0, end - begin, begin);
      for (let at = read - 1; at >= 0; at--) {
        // One at the very end begins no line.
        if (block[at] !== LINE_FEED || begin + at === size - 1) continue;
        if (found === lines) {
          this.#at = begin + at + 1;
          return found;
        }
        found += 1;
      }
      end = begin;
    }
    return found;
  }

  isReplacedAt(path: string): boolean {
    const status = statSync(path, { throwIfNoEntry: false });
    return status !== undefined && status.ino !== this.#inode;
  }

  close(): void {
    closeSync(this.#file);
  }
}

/** Reading logs back: the last lines, from a time on, and what is still to come. */
import { closeSync, existsSync, fstatSync, openSync, readSync, statSync } from 'node:fs';
import type { FileLog, LogRecord } from './workload-log.ts';

const READ_BYTES = 64 * 1024;

export interface LogQuery {
  /** Only the last N lines of text. */
  tail?: number | undefined;
  /** ISO 8601: only what came at that time or later. */
  since?: string | undefined;
  /** Goes on until `ended` says so. */
  follow?: boolean | undefined;
}

/** What a reader may follow. `changed` resolves when there may be more; `over` says that nothing will come any more. */
export interface Following {
  changed(signal: AbortSignal): Promise<void>;
  over(): boolean;
}

/** The records of a workload's log, oldest first. */
export async function* readLog(
  log: FileLog,
  query: LogQuery,
  following: Following,
  signal: AbortSignal,
): AsyncGenerator<LogRecord> {
  const since = query.since === undefined ? '' : new Date(query.since).toISOString();
  const skip = query.tail === undefined ? 0 : Math.max(0, countLines(log.file.path, since) - query.tail);
  let toSkip = skip;
  for await (const text of tailFiles(log.file.path, query.follow === true, following, signal)) {
    const record = parse(text);
    if (record === undefined || record.t < since) continue;
    if (toSkip === 0) {
      yield record;
      continue;
    }
    const lines = linesIn(record);
    if (lines <= toSkip) toSkip -= lines;
    else {
      yield withoutFirstLines(record, toSkip);
      toSkip = 0;
    }
  }
}

/** A console log, which the kernel's host process writes, as raw pieces. */
export async function* readConsole(
  path: string,
  query: LogQuery,
  following: Following,
  signal: AbortSignal,
): AsyncGenerator<LogRecord> {
  let lines: string[] | undefined = query.tail === undefined ? undefined : [];
  const pieces = tailFiles(path, query.follow === true, following, signal, () => {
    // The end of what is there now: from here on everything is shown as it comes.
    const shown = lines ?? [];
    lines = undefined;
    return shown;
  });
  for await (const text of pieces) {
    if (lines === undefined) yield { t: '', s: 'out', d: `${text}\n` };
    else {
      lines.push(text);
      if (lines.length > query.tail!) lines.shift();
    }
  }
  for (const text of lines ?? []) yield { t: '', s: 'out', d: `${text}\n` };
}

/**
 * The lines of FILE.1 and FILE, then of FILE as it grows. A file that is rotated away is read to its end first, through
 * the descriptor that still has it. `onEnd` is asked once, when all that was there has been read, for lines to give first.
 */
async function* tailFiles(
  path: string,
  follow: boolean,
  following: Following,
  signal: AbortSignal,
  onEnd: () => string[] = () => [],
): AsyncGenerator<string> {
  const older = `${path}.1`;
  let asked = false;
  if (existsSync(older)) yield* new LineFile(older).drainAndClose();
  let file = existsSync(path) ? new LineFile(path) : undefined;
  try {
    while (!signal.aborted) {
      // Asked before reading, so that what is written in between is not missed.
      const over = following.over();
      if (file !== undefined) yield* file.drain();
      if (!asked) {
        asked = true;
        yield* onEnd();
      }
      if (file === undefined || file.isReplacedAt(path)) {
        const next = existsSync(path) ? new LineFile(path) : undefined;
        if (next !== undefined) {
          yield* file?.drain() ?? [];
          file?.close();
          file = next;
          continue;
        }
      }
      if (!follow || over) break;
      await following.changed(signal);
    }
    const rest = file?.rest() ?? '';
    if (rest !== '') yield rest;
  } finally {
    file?.close();
  }
}

/** Lines of one open file, read as far as it goes. */
class LineFile {
  readonly #file: number;
  readonly #inode: number;
  #at = 0;
  #rest: Buffer = Buffer.alloc(0);

  constructor(path: string) {
    this.#file = openSync(path, 'r');
    this.#inode = fstatSync(this.#file).ino;
  }

  *drain(): Generator<string> {
    const block = Buffer.allocUnsafe(READ_BYTES);
    for (;;) {
      const size = readSync(this.#file, block, 0, READ_BYTES, this.#at);
      if (size === 0) return;
      this.#at += size;
      let data = Buffer.concat([this.#rest, block.subarray(0, size)]);
      for (let end = data.indexOf(10); end >= 0; end = data.indexOf(10)) {
        yield data.toString('utf8', 0, end);
        data = data.subarray(end + 1);
      }
      this.#rest = Buffer.from(data);
    }
  }

  *drainAndClose(): Generator<string> {
    try {
      yield* this.drain();
    } finally {
      this.close();
    }
  }

  isReplacedAt(path: string): boolean {
    const status = statSync(path, { throwIfNoEntry: false });
    return status !== undefined && status.ino !== this.#inode;
  }

  rest(): string {
    const text = this.#rest.toString('utf8');
    this.#rest = Buffer.alloc(0);
    return text;
  }

  close(): void {
    closeSync(this.#file);
  }
}

function parse(text: string): LogRecord | undefined {
  try {
    const record = JSON.parse(text) as LogRecord;
    const isText = (value: unknown) => value === undefined || typeof value === 'string';
    return typeof record.t === 'string' && isText(record.d) && isText(record.b) ? record : undefined;
  } catch {
    // Cut off by a crash or a full disk.
    return undefined;
  }
}

function countLines(path: string, since: string): number {
  let count = 0;
  for (const file of [`${path}.1`, path]) {
    if (!existsSync(file)) continue;
    for (const text of new LineFile(file).drainAndClose()) {
      const record = parse(text);
      if (record !== undefined && record.t >= since) count += linesIn(record);
    }
  }
  return count;
}

/** Lines that end in a record; output that is no text counts as one. */
function linesIn(record: LogRecord): number {
  if (record.d === undefined) return 1;
  let count = 0;
  for (let at = record.d.indexOf('\n'); at >= 0; at = record.d.indexOf('\n', at + 1)) count += 1;
  return count;
}

function withoutFirstLines(record: LogRecord, lines: number): LogRecord {
  if (record.d === undefined) return record;
  let at = 0;
  for (let left = lines; left > 0; left--) at = record.d.indexOf('\n', at) + 1;
  return { ...record, d: record.d.slice(at) };
}

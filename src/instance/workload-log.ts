/** The output of one detached instance: newline-delimited JSON on disk, in two files of limited size. */
import { EventEmitter } from 'node:events';
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { RotatingFile } from '../core/rotate.ts';
import type { Clock } from '../sys/clock.ts';
import type { LogLine, WorkloadLog } from './contract.ts';
import { type Allowance, LogPace } from './log-pace.ts';
import { incompleteTail, logRecord, MOST_RECORD_BYTES, PIECE_BYTES } from './log-record.ts';

export const LOG_BYTES = 8 * 1024 * 1024;
/** Pieces are gathered for this long or up to this size before they are written. */
const GATHER_MS = 20;
const MOST_GATHER_BYTES = 64 * 1024;
const LINE_FEED = 10;
/** A record of that size is no longer gathered: it would be copied once more. */
const LONG_RECORD_BYTES = 16 * 1024;

/**
 * INVARIANTS: records are whole lines; a character split between two pieces of a stream is put together again; writes are
 * synchronous, so the reader sees what `flushed` told of.
 */
export class FileLog extends EventEmitter<{ flushed: []; closed: [] }> implements WorkloadLog {
  readonly file: RotatingFile;
  readonly #clock: Clock;
  readonly #gatherBytes: number;
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  #cancelFlush: (() => void) | undefined;
  readonly #tails = new Map<'out' | 'err', Buffer>();
  readonly #pace: LogPace;
  /** Until more is to be written. */
  #rest: Promise<void> | undefined;
  #endRest: (() => void) | undefined;

  /** `shared`: what is written with others' logs; default: those of this process. */
  constructor(path: string, clock: Clock, maxBytes = LOG_BYTES, shared?: Allowance) {
    super();
    this.setMaxListeners(0);
    this.#clock = clock;
    this.#pace = new LogPace(clock, shared);
    this.#gatherBytes = Math.min(MOST_GATHER_BYTES, maxBytes / 4);
    this.file = new RotatingFile({
      path,
      maxBytes,
      describeDrop: (dropped) => {
        const d = `polykernel: ${dropped} pieces of output were lost: the log could not be written\n`;
        const record: LogLine = { t: new Date(clock.now()).toISOString(), s: 'err', d };
        return Buffer.from(`${JSON.stringify(record)}\n`);
      },
    });
  }

  begin(): void {
    this.flush();
    const open = lastRecord(this.file.path);
    if (open !== undefined && lastByte(open) !== LINE_FEED) this.#add(open.s, Buffer.from('\n'));
  }

  write(stream: 'out' | 'err', chunk: Buffer): boolean {
    const tail = this.#tails.get(stream);
    const bytes = tail === undefined ? chunk : Buffer.concat([tail, chunk]);
    let at = 0;
    for (let end = 0; bytes.length - at > PIECE_BYTES; at = end) {
      end = at + PIECE_BYTES;
      end -= incompleteTail(bytes.subarray(at, end));
      this.#add(stream, bytes.subarray(at, end));
    }
    const last = bytes.subarray(at);
    const cut = incompleteTail(last);
    if (cut > 0) this.#tails.set(stream, Buffer.from(last.subarray(last.length - cut)));
    else this.#tails.delete(stream);
    this.#add(stream, last.subarray(0, last.length - cut));
    return this.#rest === undefined;
  }

  async drained(): Promise<void> {
    while (this.#rest !== undefined) await this.#rest;
  }

  /** Writes what was gathered, with characters left incomplete by the end of a stream. */
  flush(): void {
    for (const [stream, tail] of this.#tails) this.#add(stream, tail);
    this.#tails.clear();
    this.#write();
  }

  close(flush = true): void {
    if (flush) this.flush();
    this.#cancelFlush?.();
    this.#endRest?.();
    this.file.close();
    this.emit('closed');
  }

  #add(stream: 'out' | 'err', bytes: Buffer): void {
    if (bytes.length === 0) return;
    const record = logRecord(stream, bytes, this.#clock.now());
    const restMs = this.#pace.charge(record.length);
    if (restMs > 0) this.#pause(restMs);
    if (record.length >= LONG_RECORD_BYTES) {
      this.#write();
      this.file.append(record);
      this.emit('flushed');
      return;
    }
    this.#pending.push(Buffer.from(record));
    this.#pendingBytes += record.length;
    if (this.#pendingBytes >= this.#gatherBytes) this.#write();
    else this.#cancelFlush ??= this.#clock.after(GATHER_MS, () => this.#write());
  }

  /** The newest rest counts, and is the longest: what is owed adds up. */
  #pause(milliseconds: number): void {
    this.#endRest?.();
    this.#rest = new Promise((resolve) => {
      const end = () => {
        cancel();
        this.#rest = undefined;
        resolve();
      };
      const cancel = this.#clock.after(milliseconds, end);
      this.#endRest = end;
    });
  }

  #write(): void {
    this.#cancelFlush?.();
    this.#cancelFlush = undefined;
    if (this.#pending.length === 0) return;
    this.file.append(Buffer.concat(this.#pending), this.#pending.length);
    this.#pending = [];
    this.#pendingBytes = 0;
    this.emit('flushed');
  }
}

/** Of a log that may be of an earlier daemon. undefined where there is none, or what is there is none. */
function lastRecord(path: string): LogLine | undefined {
  try {
    const file = openSync(path, 'r');
    try {
      const { size } = fstatSync(file);
      const bytes = Buffer.alloc(Math.min(size, MOST_RECORD_BYTES));
      const read = readSync(file, bytes, 0, bytes.length, size - bytes.length);
      return JSON.parse(bytes.toString('utf8', 0, read).trimEnd().split('\n').at(-1)!) as LogLine;
    } finally {
      closeSync(file);
    }
  } catch {
    return undefined;
  }
}

const lastByte = ({ d, b }: LogLine): number | undefined =>
  (b === undefined ? Buffer.from(d ?? '') : Buffer.from(b, 'base64')).at(-1);

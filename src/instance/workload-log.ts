/** The output of one detached instance: newline-delimited JSON on disk, in two files of limited size. */
import { isUtf8 } from 'node:buffer';
import { EventEmitter } from 'node:events';
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { RotatingFile } from '../core/rotate.ts';
import type { Clock } from '../sys/clock.ts';
import type { LogLine, WorkloadLog } from './contract.ts';
import { type Allowance, LogPace } from './log-pace.ts';

export const LOG_BYTES = 8 * 1024 * 1024;
/** Pieces are gathered for this long or up to this size before they are written. */
const GATHER_MS = 20;
const MOST_GATHER_BYTES = 64 * 1024;
const LINE_FEED = 10;
/** A piece has 64 KiB, each byte of which takes six at most. */
const MOST_RECORD_BYTES = 512 * 1024;

/**
 * INVARIANTS: records are whole lines; a character split between two pieces of a stream is put together again; writes are
 * synchronous, so the reader sees what `flushed` told of.
 */
export class FileLog extends EventEmitter<{ flushed: []; closed: [] }> implements WorkloadLog {
  readonly file: RotatingFile;
  readonly #clock: Clock;
  readonly #gatherBytes: number;
  #pending: string[] = [];
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
      describeDrop: (dropped) =>
        Buffer.from(
          this.#line('err', `polykernel: ${dropped} pieces of output were lost: the log could not be written\n`),
        ),
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
    const cut = incompleteTail(bytes);
    if (cut > 0) this.#tails.set(stream, bytes.subarray(bytes.length - cut));
    else this.#tails.delete(stream);
    this.#add(stream, bytes.subarray(0, bytes.length - cut));
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
    const line = this.#line(stream, bytes);
    this.#pending.push(line);
    this.#pendingBytes += line.length;
    const restMs = this.#pace.charge(line.length);
    if (restMs > 0) this.#pause(restMs);
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

  #line(s: 'out' | 'err', data: Buffer | string): string {
    const t = new Date(this.#clock.now()).toISOString();
    const text = typeof data === 'string' ? data : isUtf8(data) ? data.toString('utf8') : undefined;
    const record: LogLine = text === undefined ? { t, s, b: (data as Buffer).toString('base64') } : { t, s, d: text };
    return `${JSON.stringify(record)}\n`;
  }

  #write(): void {
    this.#cancelFlush?.();
    this.#cancelFlush = undefined;
    if (this.#pending.length === 0) return;
    this.file.append(Buffer.from(this.#pending.join('')), this.#pending.length);
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

/** Bytes at the end that begin a UTF-8 character whose rest is to come: 0 to 3. */
function incompleteTail(bytes: Buffer): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back]!;
    if (byte < 0x80) return 0;
    if (byte < 0xc0) continue;
    if (byte > 0xf4) return 0;
    const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
    return length > back ? back : 0;
  }
  return 0;
}

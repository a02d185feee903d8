/** Pieces of output as lines of a log. */
import { isUtf8 } from 'node:buffer';
import type { LogLine } from './log-line.ts';

/** What a record has of a stream at most, in bytes, each of which takes six at most. */
export const PIECE_BYTES = 64 * 1024;
/** Before and behind that: time, stream, names. */
const FRAME_BYTES = 256;
export const MOST_RECORD_BYTES = 6 * PIECE_BYTES + FRAME_BYTES;
/** Text goes through strings of that size, which V8 collects as soon as they are of no use. */
const SLICE_BYTES = 4096;

let memory: Buffer | undefined;

/**
 * The record of `bytes`, at most PIECE_BYTES of the stream `s` that came at `nowMs` (of the wall clock): a line with its end, which is what
 * JSON.stringify() makes of a LogLine, until the next call. Large strings and buffers are collected late: those of a few guests that print
 * without end were most of what the daemon held.
 */
export function logRecord(s: 'out' | 'err', bytes: Buffer, nowMs: number): Buffer {
  memory ??= Buffer.allocUnsafeSlow(MOST_RECORD_BYTES);
  const isText = isUtf8(bytes);
  const head: LogLine = { t: new Date(nowMs).toISOString(), s, [isText ? 'd' : 'b']: '' };
  // Where the quote is that closes the text.
  let at = memory.write(JSON.stringify(head)) - '"}'.length;
  if (isText) {
    for (let from = 0, to = 0; from < bytes.length; from = to) {
      to = Math.min(bytes.length, from + SLICE_BYTES);
      to -= to < bytes.length ? incompleteTail(bytes.subarray(from, to)) : 0;
      at += memory.write(JSON.stringify(bytes.toString('utf8', from, to)).slice(1, -1), at);
    }
  } else at += memory.write(bytes.toString('base64'), at);
  at += memory.write('"}\n', at);
  return memory.subarray(0, at);
}

/** Bytes at the end that begin a UTF-8 character whose rest is to come: 0 to 3. */
export function incompleteTail(bytes: Buffer): number {
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

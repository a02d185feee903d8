/**
 * Frame and key-value codec of docs/guest-protocol.md. Pure: bytes in, frames out. What the decoder is fed comes from a
 * guest and is hostile: it never keeps more than one frame's worth of bytes and never throws.
 */
import { crc32 } from 'node:zlib';
import { PolykernelError } from '../sys/errors.ts';

export const PROTOCOL_VERSION = 1;
export const HEADER_BYTES = 16;
/** Largest payload of one frame, towards a guest that has said nothing else and towards the host. */
export const MAX_TO_GUEST = 1024;
export const MAX_TO_HOST = 16_384;
/** Largest message, split or not. */
export const MAX_MESSAGE = 256 * 1024;
/** Most bytes towards the guest that may be unacknowledged, where it has said nothing else. */
export const LINE_WINDOW = 2048;
/** In a host's HELLO: it takes frames of MAX_TO_HOST bytes, and slots of shared memory. */
export const HOST_IS_WIDE = 1;
/** In a host's HELLO: it takes TROUBLE. */
export const HOST_HEARS_TROUBLE = 4;
/** In a host's HELLO: it takes COUNT. */
export const HOST_HEARS_COUNTS = 8;
/** In a host's HELLO: it takes bare frames. Only of a line that neither loses nor mixes bytes: see Flag. */
export const HOST_TAKES_BARE = 2;
/** The longest payload of a bare frame towards the host. */
export const MAX_BARE = 262_144;
/** Behind a bare frame towards the guest. */
export const BARE_END_BYTES = 4;
/** The most that a guest may say it takes: frame payload and unacknowledged bytes of its line, stdin of a session, slots, bare payload. */
export const WIDEST = { payload: 16_384, window: 524_288, stdin: 524_288, slots: 64, bare: 65_536 } as const;
/** The longest payload of what is looked at before a guest has answered: HELLO and SESSION. */
export const MAX_GREETING = 1024;
/** A slot of shared memory, and the least for which it is used instead of a frame. */
export const SLOT_BYTES = 65_536;
export const SLOT_LEAST = 1024;
/** Most bytes of requests that wait for the guest to read: one of the largest size, and again as many small ones. */
export const MAX_QUEUED = 2 * MAX_MESSAGE;
/** Most sessions that the host holds in one guest, with those given up of which the guest has not been told. */
export const MAX_HELD = 128;
/** Completes any frame that an earlier connection left half-written. */
export const RESYNC_BYTES = HEADER_BYTES + MAX_TO_GUEST;
/** The same on a line that may have long frames. */
export const WIDE_RESYNC_BYTES = HEADER_BYTES + WIDEST.bare + BARE_END_BYTES;
export const STDIN_CREDIT = 16_384;
export const OUTPUT_CREDIT = 65_536;
/** What is lent at once to a session whose output is read as it comes, and granted by one CREDIT, on a line with bare frames. */
export const BARE_LOAN = 262_144;
/** Largest file content in a snapshot, and the most files one watch may have. */
export const MAX_SNAPSHOT = 65_536;
export const MAX_WATCHES = 32;
/** Most channels of one kernel. */
export const MAX_CHANNELS = 16;

/**
 * `memory`: the payload is the number of bytes (u32) in the next slot of shared memory. `bare`: the sum is that of the header
 * alone, as the payload is bulk data on a line that loses nothing; towards the guest it stands once more behind the payload.
 */
export const Flag = { more: 1, eof: 2, memory: 4, bare: 8 } as const;

export const ToGuest = {
  hello: 1,
  configure: 2,
  exec: 3,
  stdin: 4,
  signal: 5,
  resize: 6,
  credit: 7,
  forget: 8,
  watch: 9,
  put: 10,
  get: 11,
  poweroff: 12,
  bell: 13,
  time: 14,
  taken: 15,
} as const;

export const ToHost = {
  hello: 64,
  result: 65,
  started: 66,
  stdout: 67,
  stderr: 68,
  exited: 69,
  credit: 70,
  ack: 71,
  snapshot: 72,
  session: 73,
  goodbye: 74,
  bell: 75,
  time: 76,
  trouble: 77,
  count: 78,
} as const;

export interface Frame {
  type: number;
  flags: number;
  session: number;
  payload: Buffer;
}

/** One frame as bytes. The payload must fit one frame; see encodeMessage. */
export function encodeFrame(type: number, session: number, payload: Uint8Array = Buffer.alloc(0), flags = 0): Buffer {
  const frame = Buffer.allocUnsafe(HEADER_BYTES + payload.length);
  frame.write('PK', 0, 'latin1');
  frame[2] = type;
  frame[3] = flags;
  frame.writeUInt32LE(session, 4);
  frame.writeUInt16LE(payload.length, 8);
  frame.writeUInt16LE(0, 10);
  frame.set(payload, HEADER_BYTES);
  frame.writeUInt32LE(crc32(frame.subarray(HEADER_BYTES), crc32(frame.subarray(0, 12))), 12);
  return frame;
}

/** A frame without a sum of its payload, which is not copied: header, payload, end. */
export function bareFrame(type: number, session: number, payload: Buffer): readonly Buffer[] {
  const head = encodeFrame(type, session, undefined, Flag.bare);
  head.writeUInt32LE(payload.length, 8);
  head.writeUInt32LE(crc32(head.subarray(0, 12)), 12);
  return [head, payload, head.subarray(12)];
}

/**
 * A message as one or more frames of at most `max` payload bytes each, linked by MORE.
 * @throws PolykernelError `invalid` when it is longer than 256 KiB
 */
export function encodeMessage(
  type: number,
  session: number,
  payload: Uint8Array,
  max: number = MAX_TO_GUEST,
): Buffer[] {
  if (payload.length > MAX_MESSAGE) {
    throw new PolykernelError('invalid', `a request to the guest is ${payload.length} bytes long`, {
      value: payload.length,
      hint: `Keep command line, environment and paths under ${MAX_MESSAGE} bytes together.`,
    });
  }
  const frames: Buffer[] = [];
  let at = 0;
  do {
    const part = payload.subarray(at, at + max);
    at += part.length;
    frames.push(encodeFrame(type, session, part, at < payload.length ? Flag.more : 0));
  } while (at < payload.length);
  return frames;
}

/** Looking at a place where no frame begins takes as long as the checksum of so many bytes: all that a guest writes can be such places. */
const PLACE_WORK = 64;
/** Most bytes whose checksum is computed in vain before next() comes back: a guest may write headers and nothing else. */
const MAX_FUTILE = 64 * 1024;

/** A payload that is less than this part of what it came in is copied, so that it does not keep all of that. */
const SMALL_PART = 1 / 4;

/**
 * Finds frames in a byte stream, whatever stands between them. Keeps what it was fed until next() has gone through it, and
 * then at most one frame of bytes. What it is fed belongs to it: large payloads are not copied.
 */
export class FrameDecoder {
  /** Bytes that belonged to no frame, since construction. */
  skipped = 0;
  /** What decoding has cost since construction: bytes whose checksum was computed, a quarter of those of bare payloads, and places where no frame began. */
  work = 0;
  /** What is looked at. Where a frame may reach from one chunk into the next, both around its border, and then the next. */
  #data: Buffer = Buffer.alloc(0);
  #at = 0;
  #border = 0;
  #next: Buffer | undefined;
  #max: number;
  /** The longest payload of a bare frame that is taken; 0: none is. */
  #maxBare = 0;
  /** Whether it is known where frames begin. */
  #isSettled: boolean;
  /** Of a bare frame whose payload is on its way. */
  #bare: { type: number; flags: number; session: number; left: number } | undefined;

  /**
   * Without `isSettled` the stream may begin in the midst of what somebody wrote: what looks like a frame that is not all here is not
   * waited for, so that it keeps none back that comes behind it. At most MAX_GREETING bytes of payload are sensible then.
   */
  constructor(maxPayload: number, isSettled = true) {
    this.#max = maxPayload;
    this.#isSettled = isSettled;
  }

  /** Behind the last frame begins the next one, with at most so much payload; output may be bare where `maxBare` is not 0. */
  settle(maxPayload: number, maxBare: number): void {
    this.#isSettled = true;
    this.#max = maxPayload;
    this.#maxBare = maxBare;
  }

  feed(chunk: Uint8Array): void {
    const rest = this.#rest();
    const more = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length);
    const longest = HEADER_BYTES + this.#max;
    this.#at = 0;
    this.#border = rest.length;
    this.#data = rest.length === 0 ? more : Buffer.concat([rest, more.subarray(0, longest)]);
    this.#next = rest.length === 0 || more.length <= longest ? undefined : more;
  }

  /**
   * The next frame; of a bare one, what is here of it, as a frame of its own. Undefined: there is none in what was fed. `futile`: so far none, but much work was done; there may be one
   * yet.
   */
  next(): Frame | 'futile' | undefined {
    const begun = this.work;
    /** The first that may be a frame, of which not all is here. */
    let partial: { at: number; skipped: number } | undefined;
    for (;;) {
      if (this.#next !== undefined && this.#at >= this.#border) this.#goOn(this.#next);
      const [data, at] = [this.#data, this.#at];
      if (this.#bare !== undefined && data.length > at) return this.#piece(this.#bare);
      if (data.length - at < HEADER_BYTES) break;
      // Behind one that is not all here there is little left.
      if (partial === undefined && this.work - begun > MAX_FUTILE) return 'futile';
      if (this.#beginsBare()) {
        const [type, flags, session] = [data[at + 2]!, data[at + 3]! & ~Flag.bare, data.readUInt32LE(at + 4)];
        const left = data.readUInt32LE(at + 8);
        this.#at = at + HEADER_BYTES;
        if (left === 0) return { type, flags, session, payload: Buffer.alloc(0) };
        this.#bare = { type, flags, session, left };
        continue;
      }
      const length = data.readUInt16LE(at + 8);
      if (data[at] !== 0x50 || data[at + 1] !== 0x4b || length > this.#max || data.readUInt16LE(at + 10) !== 0) {
        this.#skipTo(this.#magicBehind(at));
        continue;
      }
      const end = at + HEADER_BYTES + length;
      if (end > data.length) {
        if (this.#isSettled) break;
        partial ??= { at, skipped: this.skipped };
        this.#skipTo(this.#magicBehind(at));
        continue;
      }
      const payload = data.subarray(at + HEADER_BYTES, end);
      this.work += length;
      if (crc32(payload, crc32(data.subarray(at, at + 12))) !== data.readUInt32LE(at + 12)) {
        this.#skipTo(at + 1);
        continue;
      }
      this.#at = end;
      const isSmall = length < payload.buffer.byteLength * SMALL_PART;
      return {
        type: data[at + 2]!,
        flags: data[at + 3]!,
        session: data.readUInt32LE(at + 4),
        payload: isSmall ? Buffer.from(payload) : payload,
      };
    }
    if (partial !== undefined) [this.#at, this.skipped] = [partial.at, partial.skipped];
    // What is left is short: it must not keep the chunk it came in.
    this.#data = Buffer.from(this.#rest());
    this.#next = undefined;
    this.#at = 0;
    return undefined;
  }

  /** The frames completed by `chunk`. */
  push(chunk: Uint8Array): Frame[] {
    this.feed(chunk);
    const frames: Frame[] = [];
    for (let frame = this.next(); frame !== undefined; frame = this.next()) if (frame !== 'futile') frames.push(frame);
    return frames;
  }

  /** Where the next frame may begin. */
  #magicBehind(at: number): number {
    const found = this.#data.indexOf(0x50, at + 1);
    return found < 0 ? this.#data.length : found;
  }

  #beginsBare(): boolean {
    const [data, at] = [this.#data, this.#at];
    if (this.#maxBare === 0 || data[at] !== 0x50 || data[at + 1] !== 0x4b || (data[at + 3]! & Flag.bare) === 0)
      return false;
    if (data[at + 2] !== ToHost.stdout && data[at + 2] !== ToHost.stderr) return false;
    return (
      data.readUInt32LE(at + 8) <= this.#maxBare && crc32(data.subarray(at, at + 12)) === data.readUInt32LE(at + 12)
    );
  }

  /** What is here of a bare frame. */
  #piece(bare: { type: number; flags: number; session: number; left: number }): Frame {
    const end = Math.min(this.#at + bare.left, this.#data.length);
    const payload = this.#data.subarray(this.#at, end);
    bare.left -= payload.length;
    this.work += payload.length / 4; // it is passed on, without a sum
    this.#at = end;
    if (bare.left === 0) this.#bare = undefined;
    const isSmall = payload.length < payload.buffer.byteLength * SMALL_PART;
    const { type, session } = bare;
    return {
      type,
      session,
      flags: bare.left === 0 ? bare.flags : 0,
      payload: isSmall ? Buffer.from(payload) : payload,
    };
  }

  /** All that was fed and not gone through. */
  #rest(): Buffer {
    const next = this.#next;
    if (next === undefined) return this.#data.subarray(this.#at);
    if (this.#at >= this.#border) return next.subarray(this.#at - this.#border);
    return Buffer.concat([this.#data.subarray(this.#at, this.#border), next]);
  }

  /** Past the border: there is nothing left of the chunk before. */
  #goOn(next: Buffer): void {
    this.#at -= this.#border;
    this.#data = next;
    this.#next = undefined;
  }

  #skipTo(at: number): void {
    this.work += PLACE_WORK;
    this.skipped += at - this.#at;
    this.#at = at;
  }
}

export type Pair = readonly [key: string, value: string];

/**
 * `key=value` strings, each NUL-terminated.
 * @throws PolykernelError `invalid` when a value holds a NUL, which no argument or path can
 */
export function encodePairs(pairs: readonly Pair[]): Buffer {
  for (const [key, value] of pairs) {
    if (value.includes('\0')) throw new PolykernelError('invalid', `${key} contains a NUL character`, { field: key });
  }
  return Buffer.from(pairs.map(([key, value]) => `${key}=${value}\0`).join(''), 'utf8');
}

/** The pairs of a payload; what has no `=` or no terminating NUL is left out. */
export function decodePairs(payload: Uint8Array): Pair[] {
  const strings = Buffer.from(payload).toString('utf8').split('\0').slice(0, -1);
  return strings.flatMap((text): Pair[] => {
    const equals = text.indexOf('=');
    return equals < 0 ? [] : [[text.slice(0, equals), text.slice(equals + 1)]];
  });
}

/** A payload of little-endian 32-bit numbers. */
export function u32(...values: number[]): Buffer {
  const payload = Buffer.allocUnsafe(values.length * 4);
  for (const [index, value] of values.entries()) payload.writeUInt32LE(value >>> 0, index * 4);
  return payload;
}

/** A payload of little-endian 16-bit numbers. */
export function u16(...values: number[]): Buffer {
  const payload = Buffer.allocUnsafe(values.length * 2);
  for (const [index, value] of values.entries()) payload.writeUInt16LE(value & 0xffff, index * 2);
  return payload;
}

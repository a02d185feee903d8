/** Where everything is in a ring, version 1. docs/ring.md is its contract and native/ring/pk-ring.h the same in C. */
import { PolykernelError } from '../sys/errors.ts';

export const VERSION = 1;
export const HEADER_BYTES = 4096;
export const LEAST_DATA_BYTES = 4096;
/** Positions are 32 bits and wrap; a ring of at most a quarter of that leaves no doubt which of two is ahead. */
export const MOST_DATA_BYTES = 2 ** 30;

/** Indices of 32-bit words. */
const MAGIC_LOW = 0;
const MAGIC_HIGH = 1;
const FORMAT = 2;
const DATA_OFFSET = 3;
const DATA_BYTES = 4;
const TOTAL_BYTES = 5;
const LARGEST = 6;
const CREATOR = 8;
const CREATOR_BYTES = 32;
/** "PKRING1\n" */
const MAGIC = [0x49524b50, 0x0a31474e] as const;

/** Byte offsets of one side's lines. */
export interface SideOffsets {
  position: number;
  attention: number;
  wakeAt: number;
  epoch: number;
  state: number;
  fault: number;
  pid: number;
  statistics: number;
}

const side = (base: number): SideOffsets => ({
  position: base,
  attention: base + 128,
  wakeAt: base + 132,
  epoch: base + 256,
  state: base + 260,
  fault: base + 264,
  pid: base + 268,
  statistics: base + 384,
});

export const PRODUCER = side(0x80);
export const CONSUMER = side(0x280);

/** A side's attention word: what the other side has to do beyond moving messages. */
export const AWAKE = 0;
export const ASLEEP = 1;
/** Not there: the state word says why. */
export const GONE = 2;

/** A side's state word. */
export const DETACHED = 0;
export const OPEN = 1;
export const CLOSED = 2;
export const ERROR = 3;

/** Why a ring is in its error state. */
export const FAULTS: Readonly<Record<number, string>> = {
  1: 'a commit word that no producer writes',
  2: 'a position outside of what is possible',
  3: 'an unknown state',
  4: 'another process attached as the same side',
  5: 'removed by its owner',
};
export const BAD_COMMIT = 1;
export const BAD_POSITION = 2;
export const BAD_STATE = 3;
export const USURPED = 4;
export const REMOVED = 5;

/** Commit words as signed 32-bit numbers: bit 31 says committed, bit 30 wrap marker, the rest is the length. */
export const MESSAGE = 0x8000_0000 | 0;
export const WRAP = 0xc000_0000 | 0;
export const LENGTH_MASK = 0x3fff_ffff;
export const MESSAGE_HEADER_BYTES = 8;

export const largestMessage = (dataBytes: number): number => dataBytes / 2 - MESSAGE_HEADER_BYTES;

/** Bytes from one message's commit word at `offset` to the next, or 0 for a word that no producer writes. */
export function messageSpan(word: number, offset: number, dataBytes: number, largest: number): number {
  const length = word & LENGTH_MASK;
  const span = (length + 15) & ~7;
  return (word & ~LENGTH_MASK) !== MESSAGE || length > largest || span > dataBytes - offset ? 0 : span;
}

/** Bytes of memory that a ring with a data area of `dataBytes` takes. Throws `invalid` for an unfit size. */
export function ringBytes(dataBytes: number): number {
  if (dataBytes >= LEAST_DATA_BYTES && dataBytes <= MOST_DATA_BYTES && Number.isInteger(Math.log2(dataBytes)))
    return HEADER_BYTES + dataBytes;
  throw new PolykernelError('invalid', `a ring cannot have ${dataBytes} data bytes`, {
    field: 'size',
    value: dataBytes,
    hint: `Give a power of two from ${LEAST_DATA_BYTES} to ${MOST_DATA_BYTES}.`,
  });
}

/** Makes an empty ring of `buffer`, which must be of `ringBytes()`. Whatever was in it is lost. */
export function formatRing(buffer: ArrayBuffer, creator: string): void {
  const dataBytes = buffer.byteLength - HEADER_BYTES;
  ringBytes(dataBytes);
  const words = new Int32Array(buffer);
  Atomics.store(words, MAGIC_LOW, 0);
  words.fill(0, 1, HEADER_BYTES / 4 + 2);
  words[MAGIC_HIGH] = MAGIC[1];
  words[FORMAT] = VERSION;
  words[DATA_OFFSET] = HEADER_BYTES;
  words[DATA_BYTES] = dataBytes;
  words[TOTAL_BYTES] = buffer.byteLength;
  words[LARGEST] = largestMessage(dataBytes);
  new TextEncoder().encodeInto(creator, new Uint8Array(buffer, CREATOR * 4, CREATOR_BYTES - 1));
  // Last: who sees the magic sees all of it.
  Atomics.store(words, MAGIC_LOW, MAGIC[0]);
}

/** Puts the ring in error for both sides, whoever is attached; they have to be woken. */
export function failRing(buffer: ArrayBuffer, fault: number): void {
  const words = new Int32Array(buffer, 0, HEADER_BYTES / 4);
  for (const at of [PRODUCER, CONSUMER]) {
    words[at.fault / 4] = fault;
    Atomics.store(words, at.state / 4, ERROR);
    Atomics.store(words, at.attention / 4, GONE);
  }
}

/** Checks the header and returns the size of the data area. Throws `protocol` for memory that holds no ring. */
export function readHeader(buffer: ArrayBuffer): number {
  const reject = (reason: string) => new PolykernelError('protocol', `the memory holds no ring: ${reason}`);
  if (buffer.byteLength < HEADER_BYTES + LEAST_DATA_BYTES) throw reject(`it has only ${buffer.byteLength} bytes`);
  const words = new Int32Array(buffer);
  if (Atomics.load(words, MAGIC_LOW) !== MAGIC[0] || words[MAGIC_HIGH] !== MAGIC[1]) throw reject('no magic');
  const version = words[FORMAT];
  if (version !== VERSION) throw reject(`version ${version}, and this is for version ${VERSION}`);
  // Each value is read once: the other side may change it between the check and the use.
  const dataBytes = words[DATA_BYTES]!;
  const fits =
    words[DATA_OFFSET] === HEADER_BYTES &&
    dataBytes >= LEAST_DATA_BYTES &&
    dataBytes <= MOST_DATA_BYTES &&
    (dataBytes & (dataBytes - 1)) === 0 &&
    dataBytes + HEADER_BYTES <= buffer.byteLength;
  if (!fits) throw reject(`a data area of ${dataBytes} bytes in memory of ${buffer.byteLength}`);
  return dataBytes;
}

/** The name its creator left, printable whatever was written there. */
export function readCreator(buffer: ArrayBuffer): string {
  const bytes = Buffer.from(buffer, CREATOR * 4, CREATOR_BYTES);
  const end = bytes.indexOf(0);
  return bytes.toString('latin1', 0, end < 0 ? CREATOR_BYTES : end).replaceAll(/[^ -~]/g, '?');
}

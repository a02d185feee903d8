/**
 * A file that was written in one go by seeking nowhere, as makedumpfile and QEMU write it ("flattened"): records of place, length and
 * bytes. Reads as the file that it stands for. Everything in it is hostile.
 */
import type { ReadAt } from '../../../sys/read-at.ts';

const SIGNATURE = 'makedumpfile\0';
const HEADER_BYTES = 4096;
const RECORD_BYTES = 16;
const MOST_RECORDS = 2 ** 21;
const MOST_BYTES = 2 ** 44;

export const isFlattened = (read: ReadAt): boolean => read(0, SIGNATURE.length)?.toString('latin1') === SIGNATURE;

/** Undefined when its records are none. A later record hides what an earlier one had there. */
export function unflatten(read: ReadAt, size: number): ReadAt | undefined {
  const places: number[] = [];
  const starts: number[] = [];
  const lengths: number[] = [];
  for (let at = HEADER_BYTES; at + RECORD_BYTES <= size; ) {
    const record = read(at, RECORD_BYTES);
    if (record === undefined) return undefined;
    const [place, length] = [Number(record.readBigInt64BE(0)), Number(record.readBigInt64BE(8))];
    if (place < 0) break;
    at += RECORD_BYTES;
    if (length < 0 || place > MOST_BYTES || at + length > size || places.length === MOST_RECORDS) return undefined;
    places.push(place);
    starts.push(at);
    lengths.push(length);
    at += length;
  }
  if (places.length === 0) return undefined;
  const order = Uint32Array.from(places.keys()).sort((a, b) => places[a]! - places[b]! || a - b);
  return (offset, length) => {
    if (
      !Number.isSafeInteger(offset) ||
      !Number.isSafeInteger(length) ||
      offset < 0 ||
      length < 0 ||
      length > MOST_READ
    )
      return undefined;
    const bytes = Buffer.alloc(length);
    for (let done = 0; done < length; ) {
      const index = order[lastAtOrBefore(order, places, offset + done)];
      if (index === undefined) return undefined;
      const within = offset + done - places[index]!;
      const count = Math.min(length - done, lengths[index]! - within);
      const part = count > 0 ? read(starts[index]! + within, count) : undefined;
      if (part === undefined) return undefined;
      part.copy(bytes, done);
      done += count;
    }
    return bytes;
  };
}

const MOST_READ = 2 ** 20;

/** Of those in order the last whose place is not behind `offset`; -1 = none. */
function lastAtOrBefore(order: Uint32Array, places: readonly number[], offset: number): number {
  let [low, high] = [0, order.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (places[order[middle]!]! <= offset) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/**
 * Decoder of the LZ4 legacy frame, the form Linux kernels are compressed in (`lz4 -l`): a magic number, then blocks of
 * u32 compressed size and data, each holding up to 8 MiB. Format: lz4_Frame_format.md "Legacy frame" and
 * lz4_Block_format.md of the LZ4 project.
 */
import { type ReadAt, readerOfBuffer } from '../sys/read-at.ts';

export const LZ4_LEGACY_MAGIC = 0x184c2102;

const BLOCK_BYTES = 8 * 1024 * 1024;

/** Yields the decoded blocks of a legacy frame. @throws RangeError if the data is damaged. */
export function decodeLz4Legacy(frame: Buffer): Generator<Buffer> {
  return decodeLz4File(readerOfBuffer(frame), 0, frame.length, Number.POSITIVE_INFINITY);
}

/**
 * Yields the decoded blocks of the legacy frame in `length` bytes from `offset`.
 * @param limit most bytes decoded
 * @throws RangeError if the data is damaged or decodes to more than `limit` bytes.
 */
export function* decodeLz4File(read: ReadAt, offset: number, length: number, limit: number): Generator<Buffer> {
  const end = offset + length;
  if (length < 4 || read(offset, 4)?.readUInt32LE(0) !== LZ4_LEGACY_MAGIC) throw new RangeError('no LZ4 legacy frame');
  let [total, full] = [0, true];
  for (let at = offset + 4; at + 4 <= end; ) {
    const size = read(at, 4)?.readUInt32LE(0) ?? 0;
    at += 4;
    const block = size === 0 || at + size > end ? undefined : read(at, size);
    if (block === undefined) throw new RangeError('an LZ4 block is cut short');
    // Only the last one may hold less: many small ones would cost a whole buffer each.
    if (!full) throw new RangeError('an LZ4 block in the middle is not full');
    const decoded = decodeLz4Block(block, BLOCK_BYTES);
    full = decoded.length === BLOCK_BYTES;
    total += decoded.length;
    if (total > limit) throw new RangeError(`it decodes to more than ${limit} bytes`);
    yield decoded;
    at += size;
  }
}

/** Decodes one block of at most `limit` bytes decoded. @throws RangeError if the data is damaged. */
export function decodeLz4Block(block: Buffer, limit: number): Buffer {
  const out = Buffer.allocUnsafe(limit);
  let from = 0;
  let to = 0;
  // A length nibble of 15 goes on in bytes, each added, until one is below 255.
  const extended = (nibble: number): number => {
    let length = nibble;
    if (nibble !== 15) return length;
    for (;;) {
      const byte = block[from++];
      if (byte === undefined) throw new RangeError('an LZ4 length is cut short');
      length += byte;
      if (byte !== 255) return length;
    }
  };
  while (from < block.length) {
    const token = block[from++]!;
    const literals = extended(token >> 4);
    if (from + literals > block.length || to + literals > limit) throw new RangeError('LZ4 literals run over');
    block.copy(out, to, from, from + literals);
    from += literals;
    to += literals;
    // The last sequence has literals only.
    if (from === block.length) break;
    if (from + 2 > block.length) throw new RangeError('an LZ4 offset is cut short');
    const offset = block.readUInt16LE(from);
    from += 2;
    const length = extended(token & 15) + 4;
    if (offset === 0 || offset > to || to + length > limit) throw new RangeError('an LZ4 match runs over');
    // A match may overlap what it writes, so it is copied in pieces of at most `offset` bytes.
    for (let left = length; left > 0; ) {
      const step = Math.min(left, offset);
      out.copyWithin(to, to - offset, to - offset + step);
      to += step;
      left -= step;
    }
  }
  return out.subarray(0, to);
}

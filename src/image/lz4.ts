/**
 * Decoder of the LZ4 legacy frame, the form Linux kernels are compressed in (`lz4 -l`): a magic number, then blocks of
 * u32 compressed size and data, each holding up to 8 MiB. Format: lz4_Frame_format.md "Legacy frame" and
 * lz4_Block_format.md of the LZ4 project.
 */
export const LZ4_LEGACY_MAGIC = 0x184c2102;

const BLOCK_BYTES = 8 * 1024 * 1024;

/** Yields the decoded blocks of a legacy frame. @throws RangeError if the data is damaged. */
export function* decodeLz4Legacy(frame: Buffer): Generator<Buffer> {
  if (frame.length < 4 || frame.readUInt32LE(0) !== LZ4_LEGACY_MAGIC) throw new RangeError('no LZ4 legacy frame');
  for (let at = 4; at + 4 <= frame.length; ) {
    const size = frame.readUInt32LE(at);
    at += 4;
    if (size === 0 || at + size > frame.length) throw new RangeError('an LZ4 block is cut short');
    yield decodeLz4Block(frame.subarray(at, at + size), BLOCK_BYTES);
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

/** Pieces of a stream in memory that is used again: new memory for each would be garbage by the megabyte before it is collected. */

/** The longest that a piece is. */
const PIECE_BYTES = 65_536;
/** Before each: what a message says of its content, where it is sent as it lies. */
const HEAD_BYTES = 1;
const MOST_SPARE = 16;
/** Less has memory of its own size: what nobody has read yet is bounded by what it has of its process, and is not to hold more. */
const WORTH_BYTES = PIECE_BYTES / 2;

const spare: Buffer[] = [];
const inUse = new WeakSet<ArrayBufferLike>();

/** A copy of at most 65,536 bytes, for who says at its end that nobody will look at it again. */
export function pieceOf(bytes: Uint8Array): Buffer {
  if (bytes.length < WORTH_BYTES) return Buffer.from(bytes);
  const whole = spare.pop() ?? Buffer.allocUnsafeSlow(HEAD_BYTES + PIECE_BYTES);
  inUse.add(whole.buffer);
  const piece = whole.subarray(HEAD_BYTES, HEAD_BYTES + bytes.length);
  piece.set(bytes);
  return piece;
}

/** `piece` with `head` before it, for who alone has it: without a copy, where it has the room. */
export function withHead(head: number, piece: Uint8Array): Buffer {
  const hasRoom = inUse.has(piece.buffer) && piece.byteOffset === HEAD_BYTES;
  const message = hasRoom
    ? Buffer.from(piece.buffer, 0, HEAD_BYTES + piece.length)
    : Buffer.allocUnsafe(HEAD_BYTES + piece.length);
  message[0] = head;
  if (!hasRoom) message.set(piece, HEAD_BYTES);
  return message;
}

/** Nobody will look at `piece` again: another may take its place. */
export function reuse(piece: Buffer): void {
  if (inUse.delete(piece.buffer) && spare.length < MOST_SPARE) spare.push(Buffer.from(piece.buffer));
}

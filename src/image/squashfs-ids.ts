/**
 * The owner of an image's uppermost directory. sqfstar before 4.6 gives it to whoever runs it, whatever -root-uid says,
 * and that is an id of ours, which stands once in the table of owners. Format: "Squashfs 4.0 Filesystem" of Linux.
 */
import { writeSync } from 'node:fs';
import { PolykernelError } from '../sys/errors.ts';
import { readerOf } from '../sys/read-at.ts';
import { TOOL_ID } from '../sys/tool-jail.ts';

const ID_COUNT = 26;
const ID_TABLE = 48;
const SUPERBLOCK_BYTES = 96;
const BLOCK_BYTES = 8192;
const NOT_COMPRESSED = 0x8000;

/** Writes `owner` over TOOL_ID in the table of owners of an open image, if it is there. Throws `internal` when it is no image. */
export function giveRootTo(image: number, owner: number): void {
  const read = readerOf(image);
  const superblock = read(0, SUPERBLOCK_BYTES);
  if (superblock?.toString('latin1', 0, 4) !== 'hsqs') throw unsound();
  const bytes = superblock.readUInt16LE(ID_COUNT) * 4;
  const table = Number(superblock.readBigUInt64LE(ID_TABLE));
  for (let done = 0; done < bytes; done += BLOCK_BYTES) {
    const block = Number(read(table + (done / BLOCK_BYTES) * 8, 8)?.readBigUInt64LE(0));
    const length = Math.min(bytes - done, BLOCK_BYTES);
    const header = read(block, 2)?.readUInt16LE(0);
    const ids = header === (NOT_COMPRESSED | length) ? read(block + 2, length) : undefined;
    if (ids === undefined) throw unsound();
    for (let at = 0; at < length; at += 4) {
      if (ids.readUInt32LE(at) !== TOOL_ID) continue;
      ids.writeUInt32LE(owner, at);
      writeSync(image, ids, at, 4, block + 2 + at);
    }
  }
}

function unsound(): PolykernelError {
  return new PolykernelError('internal', 'sqfstar made no image as it was told to: its table of owners cannot be read');
}

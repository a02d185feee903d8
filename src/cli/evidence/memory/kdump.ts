/** A dump of kdump's format (diskdump) of an x86-64 machine, as QEMU writes it. Everything in it is hostile. */
import { inflateSync } from 'node:zlib';
import { type ReadAt, readWord } from '../../../sys/read-at.ts';
import { acrossPages, type Dump, PAGE } from './dump.ts';
import { physicalOf } from './page-tables.ts';
import { readNotes } from './registers.ts';

const SIGNATURE = 'KDUMP   ';
const ENTRY_BYTES = 24;
const BY_ZLIB = 1;
const MOST_NOTE_BYTES = 2 ** 20;
const MOST_BITMAP_BYTES = 2 ** 28;
/** Bits of a map whose sum is kept. */
const CHUNK_BYTES = 4096;
const MOST_KEPT = 256;

/** Undefined when it is none, or its parts are not there. */
export function openKdump(read: ReadAt): Dump | undefined {
  const header = read(0, 464);
  if (header?.toString('latin1', 0, 8) !== SIGNATURE || header.readUInt32LE(428) !== PAGE) return undefined;
  const [subBlocks, mapBlocks] = [header.readUInt32LE(432), header.readUInt32LE(436)];
  const sub = read(PAGE, 104);
  const mapBytes = (mapBlocks * PAGE) / 2;
  if (sub === undefined || mapBytes > MOST_BITMAP_BYTES) return undefined;
  const bitmap = pagesThere(read, (1 + subBlocks) * PAGE + mapBytes, mapBytes);
  if (bitmap === undefined) return undefined;
  const entries = (1 + subBlocks + mapBlocks) * PAGE;
  const notes = read(readWord(sub, 48), Math.min(readWord(sub, 56), MOST_NOTE_BYTES));
  const kept = new Map<number, Buffer | undefined>();

  const entryAt = (index: number): Buffer | undefined => read(entries + index * ENTRY_BYTES, ENTRY_BYTES);
  const unpack = (entry: Buffer): Buffer | undefined => {
    const [bytes, flags] = [entry.readUInt32LE(8), entry.readUInt32LE(12)];
    const packed = bytes <= PAGE ? read(readWord(entry, 0), bytes) : undefined;
    if (packed === undefined || (flags & BY_ZLIB) === 0) return packed?.length === PAGE ? packed : undefined;
    try {
      return inflateSync(packed, { maxOutputLength: PAGE });
    } catch {
      return undefined;
    }
  };
  const unpackedPage = (place: number): Buffer | undefined => {
    const index = bitmap.indexOf(place / PAGE);
    const entry = index === undefined ? undefined : entryAt(index);
    return entry && unpack(entry);
  };
  const page = (place: number): Buffer | undefined => {
    if (kept.has(place)) return kept.get(place);
    if (kept.size >= MOST_KEPT) kept.delete(kept.keys().next().value!);
    const found = unpackedPage(place);
    kept.set(place, found);
    return found;
  };
  return {
    format: 'kdump, as QEMU writes it',
    registers: notes === undefined ? [] : readNotes(notes),
    *pages() {
      // All that is zero is one page in the file.
      let zero = -1;
      let index = 0;
      for (const frame of bitmap.frames()) {
        const entry = entryAt(index++);
        // However many bits are set: behind the last that is in the file there is none.
        if (entry === undefined) return;
        const at = readWord(entry, 0);
        if (at === zero) continue;
        if (zero < 0 && unpack(entry)?.every((byte) => byte === 0)) zero = at;
        else yield frame * PAGE;
      }
    },
    page: unpackedPage,
    reader(facts) {
      const physical = physicalOf(facts, page);
      return acrossPages((address) => {
        const place = physical(address);
        return place === undefined ? undefined : page(place);
      });
    },
  };
}

/** Which pages are there, and the how manieth each is. */
function pagesThere(read: ReadAt, at: number, bytes: number) {
  const chunks: Buffer[] = [];
  const before: number[] = [];
  let sum = 0;
  for (let done = 0; done < bytes; done += CHUNK_BYTES) {
    const chunk = read(at + done, Math.min(CHUNK_BYTES, bytes - done));
    if (chunk === undefined) return undefined;
    chunks.push(chunk);
    before.push(sum);
    for (const byte of chunk) sum += bitsOf(byte);
  }
  const bits = CHUNK_BYTES * 8;
  return {
    indexOf(frame: number): number | undefined {
      const chunk = chunks[Math.floor(frame / bits)];
      const [byte, bit] = [(frame % bits) >> 3, frame & 7];
      if (chunk === undefined || byte >= chunk.length || ((chunk[byte]! >> bit) & 1) === 0) return undefined;
      let index = before[Math.floor(frame / bits)]!;
      for (let each = 0; each < byte; each++) index += bitsOf(chunk[each]!);
      return index + bitsOf(chunk[byte]! & ((1 << bit) - 1));
    },
    *frames(): Generator<number> {
      for (const [index, chunk] of chunks.entries())
        for (const [byte, value] of chunk.entries())
          for (let bit = 0; value >> bit !== 0; bit++) if ((value >> bit) & 1) yield index * bits + byte * 8 + bit;
    },
  };
}

function bitsOf(byte: number): number {
  let count = 0;
  for (let rest = byte; rest !== 0; rest &= rest - 1) count += 1;
  return count;
}

/** An ELF core of 64 bits: of a kernel of User Mode Linux, whose addresses are those of its process. Everything in it is hostile. */
import type { ReadAt } from '../../../sys/read-at.ts';
import { acrossPages, type Dump, PAGE } from './dump.ts';
import { readNotes } from './registers.ts';

const PT_LOAD = 1;
const PT_NOTE = 4;
const HEADER_BYTES = 56;
const MOST_NOTE_BYTES = 2 ** 20;

interface Segment {
  address: bigint;
  offset: number;
  bytes: number;
}

/** Undefined when it is none. */
export function openElfCore(read: ReadAt, size: number): Dump | undefined {
  const header = read(0, 64);
  if (header?.toString('latin1', 0, 6) !== '\x7fELF\x02\x01' || header.readUInt16LE(16) !== 4) return undefined;
  const [place, count] = [Number(header.readBigUInt64LE(32)), header.readUInt16LE(56)];
  const table = read(place, count * HEADER_BYTES);
  if (table === undefined || header.readUInt16LE(54) !== HEADER_BYTES) return undefined;
  const segments: Segment[] = [];
  let notes: Buffer = Buffer.alloc(0);
  for (let at = 0; at < table.length; at += HEADER_BYTES) {
    const [offset, bytes] = [Number(table.readBigUInt64LE(at + 8)), Number(table.readBigUInt64LE(at + 32))];
    const type = table.readUInt32LE(at);
    if (type === PT_NOTE) notes = read(offset, Math.min(bytes, MOST_NOTE_BYTES)) ?? notes;
    if (type === PT_LOAD && bytes > 0 && offset % PAGE === 0)
      segments.push({ address: table.readBigUInt64LE(at + 16), offset, bytes });
  }
  segments.sort((a, b) => (a.address < b.address ? -1 : 1));
  const first = Math.min(...segments.map(({ offset }) => offset));
  return {
    format: 'ELF core of User Mode Linux',
    registers: readNotes(notes),
    *pages() {
      for (let at = first; at + PAGE <= size; at += PAGE) yield at;
    },
    page: (at) => read(at, PAGE),
    reader: () =>
      acrossPages((address) => {
        const segment = holding(segments, address);
        if (segment === undefined) return undefined;
        return read(segment.offset + Number(address - segment.address), PAGE);
      }),
  };
}

/** The segment that an address lies in; they are in order and do not overlap in a process. */
function holding(segments: readonly Segment[], address: bigint): Segment | undefined {
  let [low, high] = [0, segments.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (segments[middle]!.address <= address) low = middle + 1;
    else high = middle;
  }
  const found = segments[low - 1];
  return found !== undefined && address < found.address + BigInt(found.bytes) ? found : undefined;
}

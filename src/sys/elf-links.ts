/**
 * What a program asks the loader for: its interpreter and the libraries it names. Read from the file, which may be
 * hostile, so that no program of the host has to interpret it: `ldd` runs what it is asked about.
 */
import { PolykernelError } from './errors.ts';
import { type ReadAt, readText } from './read-at.ts';

export const ELF_MAGIC = Buffer.from([0x7f, 0x45, 0x4c, 0x46]);

export interface ElfLinks {
  /** e_machine of the header. */
  machine: number;
  /** Path of the loader it asks for; undefined for a static program and for most libraries. */
  interpreter: string | undefined;
  /** Names of the libraries it needs, in its order, without a slash. */
  needed: readonly string[];
}

const PT_LOAD = 1;
const PT_DYNAMIC = 2;
const PT_INTERP = 3;
const DT_NULL = 0;
const DT_NEEDED = 1;
const DT_STRTAB = 5;
const DT_STRSZ = 10;
const SEGMENT_BYTES = 56;
const ENTRY_BYTES = 16;
/** Far above what linkers make; a file with more of them is made to cost time. */
const MAX_SEGMENTS = 512;
const MAX_ENTRIES = 4096;
const MAX_NEEDED = 256;
const MAX_NAME_BYTES = 255;
const MAX_INTERPRETER_BYTES = 4095;

/**
 * The links of a little-endian ELF64 file; undefined if it is none, such as a script. Takes time and memory below a fixed
 * bound, whatever the file holds. Throws `invalid` naming `path` when it is damaged.
 */
export function readLinks(read: ReadAt, path: string): ElfLinks | undefined {
  const header = read(0, 64);
  if (!header?.subarray(0, 4).equals(ELF_MAGIC) || header[4] !== 2 || header[5] !== 1) return undefined;
  const segments = readSegments(read, header, path);
  const asked = segments.filter(({ type }) => type === PT_INTERP || type === PT_DYNAMIC);
  const interp = asked.find(({ type }) => type === PT_INTERP);
  const dynamic = asked.find(({ type }) => type === PT_DYNAMIC);
  const interpreter = interp && readText(read, interp.offset, MAX_INTERPRETER_BYTES, interp.offset + interp.fileBytes);
  if (interp !== undefined && interpreter === undefined) throw damaged(path, 'the name of its loader is cut short');
  return {
    machine: header.readUInt16LE(18),
    interpreter,
    needed: dynamic === undefined ? [] : readNeeded(read, segments, dynamic, path),
  };
}

interface Segment {
  type: number;
  offset: number;
  address: number;
  fileBytes: number;
}

function readSegments(read: ReadAt, header: Buffer, path: string): Segment[] {
  const [size, count] = [header.readUInt16LE(54), header.readUInt16LE(56)];
  if (count === 0) return [];
  if (size !== SEGMENT_BYTES || count > MAX_SEGMENTS)
    throw damaged(path, `it states ${count} segments of ${size} bytes`);
  const table = read(Number(header.readBigUInt64LE(32)), size * count);
  if (table === undefined) throw damaged(path, 'its segments lie outside the file');
  return Array.from({ length: count }, (_, index) => {
    const at = index * size;
    const number = (offset: number) => Number(table.readBigUInt64LE(at + offset));
    return { type: table.readUInt32LE(at), offset: number(8), address: number(16), fileBytes: number(32) };
  });
}

function readNeeded(read: ReadAt, segments: readonly Segment[], dynamic: Segment, path: string): string[] {
  const most = Math.min(Math.floor(dynamic.fileBytes / ENTRY_BYTES), MAX_ENTRIES);
  const table = read(dynamic.offset, most * ENTRY_BYTES);
  if (table === undefined) throw damaged(path, 'its dynamic section lies outside the file');
  const names: number[] = [];
  let [strings, stringBytes, ended] = [0, 0, false];
  for (let at = 0; at < table.length && !ended; at += ENTRY_BYTES) {
    const [tag, value] = [table.readBigUInt64LE(at), Number(table.readBigUInt64LE(at + 8))];
    if (tag === BigInt(DT_NULL)) ended = true;
    else if (tag === BigInt(DT_NEEDED)) names.push(value);
    else if (tag === BigInt(DT_STRTAB)) strings = value;
    else if (tag === BigInt(DT_STRSZ)) stringBytes = value;
  }
  if (!ended && most === MAX_ENTRIES) throw damaged(path, `its dynamic section has more than ${MAX_ENTRIES} entries`);
  if (names.length > MAX_NEEDED) throw damaged(path, `it names more than ${MAX_NEEDED} libraries`);
  const start = names.length === 0 ? 0 : fileOffset(segments, strings);
  if (start === undefined) throw damaged(path, 'its table of names lies in no segment');
  return names.map((at) => {
    const name = readText(read, start + at, MAX_NAME_BYTES, start + stringBytes);
    if (name === undefined) throw damaged(path, 'the name of a library is cut short');
    if (!/^[\w.+@~-]+$/.test(name) || /^\.+$/.test(name))
      throw damaged(path, `it names the library ${JSON.stringify(name)}`);
    return name;
  });
}

function fileOffset(segments: readonly Segment[], address: number): number | undefined {
  const holder = segments.find(
    (segment) =>
      segment.type === PT_LOAD && address >= segment.address && address < segment.address + segment.fileBytes,
  );
  return holder && address - holder.address + holder.offset;
}

function damaged(path: string, reason: string): PolykernelError {
  return new PolykernelError('invalid', `${path} is not a sound program: ${reason}`, {
    value: path,
    hint: 'Get it again from where it came from; a program that runs on this machine is what is wanted.',
  });
}

/** The little of ELF64 that kernels and modules need: headers, notes and one section, read with bounds checked. */
import { ELF_MAGIC } from '../sys/elf-links.ts';
import { type ReadAt, readText, readWord } from '../sys/read-at.ts';

export { type ReadAt, readerOfBuffer } from '../sys/read-at.ts';

const PT_INTERP = 3;
const PT_NOTE = 4;
/** XEN_ELFNOTE_PHYS32_ENTRY: the entry point a PVH loader such as QEMU's -kernel jumps to (xen/interface/elfnote.h). */
const PVH_NOTE_TYPE = 18;
/** Headers and notes of a kernel are small; more is not one. Together they bound what a file can cost. */
const MAX_SEGMENTS = 512;
const MAX_SECTIONS = 8192;
const MAX_NOTE_BYTES = 64 * 1024;
const MAX_NOTE_SEGMENTS = 16;
const MAX_SECTION_NAME_BYTES = 255;

export const MACHINE_NAMES: Readonly<Record<number, string>> = { 3: 'i386', 62: 'x86_64', 183: 'arm64', 243: 'riscv' };

export interface ElfSummary {
  machine: number;
  /** Has a program interpreter: it runs as a process. */
  interpreted: boolean;
  hasPvhNote: boolean;
  /** Has the entry by which a kernel with the multikernel patches boots another beside itself. */
  hasMultikernelNote: boolean;
  sections: ReadonlyMap<string, { offset: number; size: number }>;
}

/** Summary of a little-endian ELF64 file, or undefined if it is none or is cut short. */
export function readElf(read: ReadAt): ElfSummary | undefined {
  const header = read(0, 64);
  if (!header?.subarray(0, 4).equals(ELF_MAGIC) || header[4] !== 2 || header[5] !== 1) return undefined;
  const table = (at: number, sizeAt: number, size: number, most: number) =>
    readTable(read, readWord(header, at), header.readUInt16LE(sizeAt), header.readUInt16LE(sizeAt + 2), size, most);
  const segments = table(32, 54, 56, MAX_SEGMENTS);
  const sections = table(40, 58, 64, MAX_SECTIONS);
  if (!segments || !sections) return undefined;
  const notes = segments.filter((segment) => segment.readUInt32LE(0) === PT_NOTE).slice(0, MAX_NOTE_SEGMENTS);
  const found = notes.flatMap((segment) =>
    notesOf(read(readWord(segment, 8), Math.min(readWord(segment, 32), MAX_NOTE_BYTES))),
  );
  return {
    machine: header.readUInt16LE(18),
    interpreted: segments.some((segment) => segment.readUInt32LE(0) === PT_INTERP),
    hasPvhNote: found.some(({ name, type }) => name.startsWith('Xen') && type === PVH_NOTE_TYPE),
    hasMultikernelNote: found.some(({ name, bytes }) => name === 'MK\0' && bytes === 8),
    sections: readSections(read, sections, header.readUInt16LE(62)),
  };
}

/** The records of a table; undefined when it is not of this form or lies outside the file. */
function readTable(
  read: ReadAt,
  offset: number,
  stated: number,
  count: number,
  size: number,
  most: number,
): Buffer[] | undefined {
  if (count === 0) return [];
  const bytes = stated === size && count <= most ? read(offset, size * count) : undefined;
  return bytes && Array.from({ length: count }, (_, index) => bytes.subarray(index * size, (index + 1) * size));
}

function readSections(read: ReadAt, table: Buffer[], nameIndex: number): ElfSummary['sections'] {
  const sections = new Map<string, { offset: number; size: number }>();
  const nameSection = table[nameIndex];
  if (nameSection === undefined) return sections;
  const start = readWord(nameSection, 24);
  const end = start + readWord(nameSection, 32);
  for (const section of table) {
    const name = readText(read, start + section.readUInt32LE(0), MAX_SECTION_NAME_BYTES, end);
    if (name !== undefined) sections.set(name, { offset: readWord(section, 24), size: readWord(section, 32) });
  }
  return sections;
}

interface Note {
  /** At most 4 characters of it. */
  name: string;
  type: number;
  /** Of its content. */
  bytes: number;
}

/** A note is u32 name size, u32 content size, u32 type, then name and content, each padded to 4 bytes. */
function notesOf(notes: Buffer | undefined): Note[] {
  const found: Note[] = [];
  for (let at = 0; notes !== undefined && at + 12 <= notes.length; ) {
    const nameSize = notes.readUInt32LE(at);
    const bytes = notes.readUInt32LE(at + 4);
    const name = notes.toString('latin1', at + 12, at + 12 + Math.min(nameSize, 4));
    found.push({ name, type: notes.readUInt32LE(at + 8), bytes });
    at += 12 + pad(nameSize) + pad(bytes);
  }
  return found;
}

/** In floating point: in 32 bits, as `& ~3` computes, a size near 2^32 becomes negative and the cursor goes back. */
function pad(size: number): number {
  return Math.ceil(size / 4) * 4;
}

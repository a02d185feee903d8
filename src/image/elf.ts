/** The little of ELF64 that kernels and modules need: headers, notes and one section, read with bounds checked. */
import { readSync } from 'node:fs';

/** Reads exactly `length` bytes at `offset`, or undefined if the file is shorter. */
export type ReadAt = (offset: number, length: number) => Buffer | undefined;

export const ELF_MAGIC = Buffer.from([0x7f, 0x45, 0x4c, 0x46]);

const PT_INTERP = 3;
const PT_NOTE = 4;
/** XEN_ELFNOTE_PHYS32_ENTRY: the entry point a PVH loader such as QEMU's -kernel jumps to (xen/interface/elfnote.h). */
const PVH_NOTE_TYPE = 18;
/** Headers and notes of a kernel are small; more is not one. */
const SMALL = 1024 * 1024;

export const MACHINE_NAMES: Readonly<Record<number, string>> = { 3: 'i386', 62: 'x86_64', 183: 'arm64', 243: 'riscv' };

export interface ElfSummary {
  machine: number;
  /** Has a program interpreter: it runs as a process. */
  interpreted: boolean;
  hasPvhNote: boolean;
  sections: ReadonlyMap<string, { offset: number; size: number }>;
}

export function readerOf(fd: number): ReadAt {
  return (offset, length) => {
    const buffer = Buffer.alloc(length);
    return readSync(fd, buffer, 0, length, offset) === length ? buffer : undefined;
  };
}

export function readerOfBuffer(bytes: Buffer): ReadAt {
  return (offset, length) => (offset + length <= bytes.length ? bytes.subarray(offset, offset + length) : undefined);
}

/** Summary of a little-endian ELF64 file, or undefined if it is none or is cut short. */
export function readElf(read: ReadAt): ElfSummary | undefined {
  const header = read(0, 64);
  if (!header?.subarray(0, 4).equals(ELF_MAGIC) || header[4] !== 2 || header[5] !== 1) return undefined;
  const segments = readTable(read, header.readBigUInt64LE(32), header.readUInt16LE(54), header.readUInt16LE(56), 56);
  const table = readTable(read, header.readBigUInt64LE(40), header.readUInt16LE(58), header.readUInt16LE(60), 64);
  if (!segments || !table) return undefined;
  const notes = segments.filter((segment) => segment.readUInt32LE(0) === PT_NOTE);
  return {
    machine: header.readUInt16LE(18),
    interpreted: segments.some((segment) => segment.readUInt32LE(0) === PT_INTERP),
    hasPvhNote: notes.some((segment) => holdsPvh(read(number(segment, 8), Math.min(number(segment, 32), SMALL)))),
    sections: readSections(read, table, header.readUInt16LE(62)),
  };
}

function readTable(read: ReadAt, offset: bigint, size: number, count: number, least: number): Buffer[] | undefined {
  if (count === 0) return [];
  const bytes = size < least ? undefined : read(Number(offset), size * count);
  return bytes && Array.from({ length: count }, (_, index) => bytes.subarray(index * size, (index + 1) * size));
}

function readSections(read: ReadAt, table: Buffer[], nameIndex: number): ElfSummary['sections'] {
  const sections = new Map<string, { offset: number; size: number }>();
  const nameSection = table[nameIndex];
  const names = nameSection && read(number(nameSection, 24), Math.min(number(nameSection, 32), SMALL));
  if (!names) return sections;
  for (const section of table) {
    const start = section.readUInt32LE(0);
    const end = names.indexOf(0, start);
    if (end < 0) continue;
    sections.set(names.toString('latin1', start, end), { offset: number(section, 24), size: number(section, 32) });
  }
  return sections;
}

function number(record: Buffer, offset: number): number {
  return Number(record.readBigUInt64LE(offset));
}

/** A note is u32 name size, u32 content size, u32 type, then name and content, each padded to 4 bytes. */
function holdsPvh(notes: Buffer | undefined): boolean {
  if (!notes) return false;
  for (let at = 0; at + 12 <= notes.length; ) {
    const nameSize = notes.readUInt32LE(at);
    const contentSize = notes.readUInt32LE(at + 4);
    const name = notes.toString('latin1', at + 12, at + 12 + Math.min(nameSize, 4));
    if (notes.readUInt32LE(at + 8) === PVH_NOTE_TYPE && name.startsWith('Xen')) return true;
    at += 12 + pad(nameSize) + pad(contentSize);
  }
  return false;
}

function pad(size: number): number {
  return (size + 3) & ~3;
}

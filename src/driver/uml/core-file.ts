/** An ELF core of a User Mode Linux kernel, laid out from the map of its process. Pure. */
import { isMemoryPath } from './memory-file.ts';

const PAGE = 4096;
const HEADER_BYTES = 64;
const PROGRAM_HEADER_BYTES = 56;
const PRSTATUS_BYTES = 336;
const NOTE_BYTES = 12 + 8 + PRSTATUS_BYTES;
const AT_REGISTERS = 112;
/** Segments; what a kernel maps beyond is left out. A header can count 65,535. */
const MOST_SEGMENTS = 20_000;
const PT_LOAD = 1;
const PT_NOTE = 4;
const ELF_CORE = 4;
const X86_64 = 62;
const NT_PRSTATUS = 1;

/** One line of /proc/PID/maps. */
export interface Mapping {
  start: number;
  end: number;
  permissions: string;
  /** In its file. */
  offset: number;
  /** Its file, as `MAJOR:MINOR INODE`; `00:00 0` = none. */
  file: string;
  path: string;
}

/** In the order of `struct user_regs_struct`; those that are not known are 0. */
export const REGISTERS = (
  'r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp ss fs_base gs_base ds es ' +
  'fs gs'
).split(' ');

/** From where in the process, or where in the file that is the guest's memory, the next bytes of the core come. */
export interface Part {
  from: 'process' | 'memory';
  at: number;
  bytes: number;
}

export interface CoreLayout {
  /** Whole pages. */
  header: Buffer;
  /** What follows, in order. */
  parts: Part[];
  /** With the header. */
  bytes: number;
}

/** What cannot be read as a mapping is left out. */
export function parseMaps(text: string): Mapping[] {
  return text.split('\n').flatMap((line) => {
    const match =
      /^([0-9a-f]{1,16})-([0-9a-f]{1,16}) (\S{4}) ([0-9a-f]{1,16}) ([0-9a-f]{1,8}:[0-9a-f]{1,8}) (\d{1,20}) {0,64}(.*)$/.exec(
        line,
      );
    if (match === null) return [];
    const [, start, end, permissions, offset, device, inode, path] = match;
    const numbers = { start: parseInt(start!, 16), end: parseInt(end!, 16), offset: parseInt(offset!, 16) };
    return [{ ...numbers, permissions: permissions!, file: `${device} ${inode}`, path: path! }];
  });
}

/** The file that is its guest's memory, as User Mode Linux makes it: without a name, or with one that it removes at once. */
export const isMemoryFile = ({ path, permissions }: Pick<Mapping, 'path' | 'permissions'>): boolean =>
  permissions.endsWith('s') && isMemoryPath(path);

/**
 * The guest's memory once, as its file has it, and every mapping of it as a segment that lies in there; then what is the process's
 * own: the kernel's data. Memory that is shared with others (channels) and files of the host are not part of it.
 */
export function layOut(
  mappings: readonly Mapping[],
  memoryBytes: number,
  registers: ReadonlyMap<string, bigint>,
): CoreLayout {
  const memory = mappings.find(isMemoryFile)?.file;
  const shown = mappings.filter((each) => each.file === memory || isOwn(each)).slice(0, MOST_SEGMENTS);
  const headerBytes = roundUp(HEADER_BYTES + (shown.length + 1) * PROGRAM_HEADER_BYTES + NOTE_BYTES);
  const header = Buffer.alloc(headerBytes);
  const noteAt = HEADER_BYTES + (shown.length + 1) * PROGRAM_HEADER_BYTES;
  writeHeader(header, shown.length + 1);
  writeSegment(header, 0, { type: PT_NOTE, flags: 0, offset: noteAt, address: 0, bytes: NOTE_BYTES });
  writeNote(header, noteAt, registers);
  const parts: Part[] = [{ from: 'memory', at: 0, bytes: roundUp(memoryBytes) }];
  let next = headerBytes + roundUp(memoryBytes);
  shown.forEach((mapping, index) => {
    const { start: address, end, file, offset, permissions } = mapping;
    const flags = [...'xwr'].reduce((sum, letter, bit) => sum + (permissions.includes(letter) ? 1 << bit : 0), 0);
    const isMemory = file === memory;
    const room = isMemory ? Math.max(0, roundUp(memoryBytes) - offset) : end - address;
    const bytes = Math.min(end - address, room);
    const at = isMemory ? headerBytes + Math.min(offset, roundUp(memoryBytes)) : next;
    writeSegment(header, index + 1, { type: PT_LOAD, flags, offset: at, address, bytes });
    if (isMemory) return;
    parts.push({ from: 'process', at: address, bytes });
    next += bytes;
  });
  return { header, parts, bytes: next };
}

const roundUp = (bytes: number): number => Math.ceil(bytes / PAGE) * PAGE;

/** Private memory that is written: the kernel's data, and that of its libraries. */
const isOwn = ({ permissions, path }: Mapping): boolean =>
  permissions.startsWith('rw') && permissions.endsWith('p') && !/^\[v/.test(path);

function writeHeader(to: Buffer, segments: number): void {
  // 64 bits, little-endian.
  to.write('\x7fELF\x02\x01\x01', 'latin1');
  to.writeUInt16LE(ELF_CORE, 16);
  to.writeUInt16LE(X86_64, 18);
  to.writeUInt32LE(1, 20);
  to.writeBigUInt64LE(BigInt(HEADER_BYTES), 32);
  to.writeUInt16LE(HEADER_BYTES, 52);
  to.writeUInt16LE(PROGRAM_HEADER_BYTES, 54);
  to.writeUInt16LE(segments, 56);
}

interface Segment {
  type: number;
  flags: number;
  offset: number;
  address: number;
  bytes: number;
}

function writeSegment(to: Buffer, index: number, { type, flags, offset, address, bytes }: Segment): void {
  const at = HEADER_BYTES + index * PROGRAM_HEADER_BYTES;
  to.writeUInt32LE(type, at);
  to.writeUInt32LE(flags, at + 4);
  for (const [place, value] of [offset, address, 0, bytes, bytes, type === PT_LOAD ? PAGE : 4].entries())
    to.writeBigUInt64LE(BigInt(value), at + 8 + place * 8);
}

function writeNote(to: Buffer, at: number, registers: ReadonlyMap<string, bigint>): void {
  to.writeUInt32LE(5, at);
  to.writeUInt32LE(PRSTATUS_BYTES, at + 4);
  to.writeUInt32LE(NT_PRSTATUS, at + 8);
  to.write('CORE\0', at + 12, 'latin1');
  for (const [index, name] of REGISTERS.entries())
    to.writeBigUInt64LE(BigInt.asUintN(64, registers.get(name) ?? 0n), at + 20 + AT_REGISTERS + index * 8);
}

/**
 * What /proc/PID/syscall tells: number, six arguments, stack and place of the call that it waits in; or stack and place alone.
 * Empty for one that runs.
 */
export function parseSyscall(text: string): Map<string, bigint> {
  const words = text.trim().split(/\s+/);
  const names =
    words.length === 9
      ? ['orig_rax', 'rdi', 'rsi', 'rdx', 'r10', 'r8', 'r9', 'rsp', 'rip']
      : ['orig_rax', 'rsp', 'rip'];
  if (words.length !== names.length || !words.every((word) => /^(?:-?\d{1,19}|0x[0-9a-f]{1,16})$/.test(word)))
    return new Map();
  return new Map(names.map((name, index) => [name, BigInt(words[index]!)]));
}

/** Registers in the notes of a dump: one NT_PRSTATUS for each CPU. */
import { plainLine } from '../../../sys/text.ts';

export type CpuRegisters = ReadonlyMap<string, bigint>;

const NT_PRSTATUS = 1;
const AT_REGISTERS = 112;
const MOST_CPUS = 1024;
const NAMES =
  'r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp ss fs_base gs_base ds es fs gs'.split(
    ' ',
  );

/** Those of an x86-64 note segment; what is cut short ends it. */
export function readNotes(notes: Buffer): CpuRegisters[] {
  const found: CpuRegisters[] = [];
  for (let at = 0; at + 12 <= notes.length && found.length < MOST_CPUS; ) {
    const [nameBytes, bytes, type] = [notes.readUInt32LE(at), notes.readUInt32LE(at + 4), notes.readUInt32LE(at + 8)];
    const content = at + 12 + roundUp(nameBytes);
    if (content + bytes > notes.length) break;
    if (type === NT_PRSTATUS && bytes >= AT_REGISTERS + NAMES.length * 8) {
      const values = NAMES.map(
        (name, index) => [name, notes.readBigUInt64LE(content + AT_REGISTERS + index * 8)] as const,
      );
      found.push(new Map(values));
    }
    at = content + roundUp(bytes);
  }
  return found;
}

const roundUp = (bytes: number): number => Math.ceil(bytes / 4) * 4;

export function registerLines(cpus: readonly CpuRegisters[], isWhole: boolean): string[] {
  return cpus.flatMap((registers, cpu) => {
    const names = isWhole ? NAMES : ['rip', 'rsp'];
    const values = names.map(
      (name) => `${name.toUpperCase()}=${(registers.get(name) ?? 0n).toString(16).padStart(16, '0')}`,
    );
    return plainLine(`CPU ${cpu}  ${values.join(' ')}`, 1000);
  });
}

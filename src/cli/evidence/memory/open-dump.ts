/** A file with the memory of a kernel, as what it says for people. */
import { closeSync, fstatSync } from 'node:fs';
import { PolykernelError } from '../../../sys/errors.ts';
import { openRegular, type ReadAt, readerOf } from '../../../sys/read-at.ts';
import type { Dump } from './dump.ts';
import { openElfCore } from './elf-core.ts';
import { isFlattened, unflatten } from './flattened.ts';
import { openKdump } from './kdump.ts';
import { kernelFacts } from './kernel-facts.ts';
import { kernelLog } from './kernel-log.ts';
import type { CpuRegisters } from './registers.ts';

export interface DumpSummary {
  format: string;
  bytes: number;
  /** As `uname -r`; null where the kernel does not say. */
  release: string | null;
  registers: CpuRegisters[];
  /** Oldest first. */
  log: string[];
  /** Why there is no log; empty otherwise. */
  noLog: string;
}

/** What it begins with; enough to tell a dump from a core's text. */
export function isDump(beginning: Buffer): boolean {
  const read: ReadAt = (offset, length) =>
    offset === 0 && length <= beginning.length ? beginning.subarray(0, length) : undefined;
  return (
    isFlattened(read) || ['\x7fELF', 'KDUMP'].includes(beginning.toString('latin1', 0, beginning[0] === 0x7f ? 4 : 5))
  );
}

/** Rejects with `invalid` where it is no dump that can be read, or as open(2) does. */
export function summarize(path: string): DumpSummary {
  const fd = openRegular(path);
  if (fd === undefined) throw notDump(path);
  try {
    const { size } = fstatSync(fd);
    const file = readerOf(fd);
    const dump = openDump(file, size);
    if (dump === undefined) throw notDump(path);
    const { format, registers } = dump;
    const facts = kernelFacts(dump);
    const log =
      facts === undefined
        ? { none: 'the kernel says nothing of itself in there' }
        : kernelLog(dump.reader(facts), facts);
    return {
      ...{ format, bytes: size, registers, release: facts?.get('OSRELEASE') ?? null },
      ...(Array.isArray(log) ? { log, noLog: '' } : { log: [], noLog: log.none }),
    };
  } finally {
    closeSync(fd);
  }
}

function openDump(file: ReadAt, size: number): Dump | undefined {
  const core = openElfCore(file, size);
  if (core !== undefined) return core;
  const plain = isFlattened(file) ? unflatten(file, size) : file;
  return plain && openKdump(plain);
}

const notDump = (path: string): PolykernelError =>
  new PolykernelError(
    'invalid',
    `${path} is no memory of a kernel that can be read: neither an ELF core nor kdump, or cut short`,
    {
      field: 'FILE',
      value: path,
    },
  );

/** Reads a kernel of User Mode Linux from its process, as an ELF core. Whoever does this may be kept waiting by it. */
import { constants } from 'node:fs';
import { type FileHandle, open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PolykernelError } from '../../sys/errors.ts';
import { readMost } from '../../sys/small-file.ts';
import { type CoreLayout, isMemoryFile, layOut, type Mapping, parseMaps, parseSyscall } from './core-file.ts';
import { openMemoryFile } from './memory-file.ts';

const MOST_MAPS = 4 * 2 ** 20;
const PIECE_BYTES = 2 ** 20;

export interface CoreTask {
  pid: number;
  /** Of the guest. */
  memoryBytes: number;
  /** Of the core. */
  mostBytes: number;
}

/** Nothing is written into the kernel, and pages that it has never touched stay so. Rejects with `internal`, or as open(2) does. */
export async function readCore({ pid, memoryBytes, mostBytes }: CoreTask): Promise<AsyncGenerator<Buffer>> {
  const proc = `/proc/${pid}`;
  const maps = readMost(join(proc, 'maps'), MOST_MAPS);
  if (maps === undefined) throw new PolykernelError('kernel-died', 'the kernel has ended');
  const mappings = parseMaps(maps);
  const registers = parseSyscall(await readFile(join(proc, 'syscall'), 'latin1').catch(() => ''));
  const own = await open(join(proc, 'mem'), constants.O_RDONLY);
  const memory = await openMemory(proc, mappings);
  const { size } = await memory.stat();
  const layout = layOut(mappings, Math.min(size, memoryBytes + PIECE_BYTES), registers);
  if (layout.bytes <= mostBytes) return pieces(layout, { memory, process: own });
  throw new PolykernelError('internal', `the kernel's process has ${layout.bytes} bytes, more than its guest can need`);
}

/** What the process has open is its own word: it must be what is mapped. */
async function openMemory(proc: string, mappings: readonly Mapping[]): Promise<FileHandle> {
  const wanted = mappings.find(isMemoryFile)?.file.split(' ')[1];
  const file = await openMemoryFile(proc, constants.O_RDONLY, ({ ino }) => String(ino) === wanted);
  if (file !== undefined) return file;
  throw new PolykernelError('internal', "the file that is the guest's memory is not among what its process has open");
}

async function* pieces(
  { header, parts }: CoreLayout,
  files: Record<'memory' | 'process', FileHandle>,
): AsyncGenerator<Buffer> {
  try {
    yield header;
    for (const { from, at, bytes } of parts) {
      for (let done = 0; done < bytes; ) {
        const piece = Buffer.alloc(Math.min(PIECE_BYTES, bytes - done));
        await readInto(files[from], piece, at + done);
        done += piece.length;
        yield piece;
      }
    }
  } finally {
    await files.memory.close();
    await files.process.close();
  }
}

/** What cannot be read (a page that is mapped no more) is zero. */
async function readInto(file: FileHandle, piece: Buffer, at: number): Promise<void> {
  for (let done = 0; done < piece.length; ) {
    const { bytesRead } = await file.read(piece, done, piece.length - done, at + done).catch(() => ({ bytesRead: 0 }));
    if (bytesRead === 0) return;
    done += bytesRead;
  }
}

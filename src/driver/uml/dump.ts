/** The memory of a User Mode Linux kernel, read from its process as an ELF core. */
import { constants } from 'node:fs';
import { type FileHandle, open, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PolykernelError } from '../../sys/errors.ts';
import { launchThreads } from '../shim/launch-threads.ts';
import {
  type CoreLayout,
  isMemoryFile,
  layOut,
  type Mapping,
  parseMaps,
  parseSyscall,
  registersText,
} from './core-file.ts';
import { umlThreads } from './threads.ts';

const MOST_MAPS = 4 * 2 ** 20;
const PIECE_BYTES = 2 ** 20;

/** Where its process waits in the host; empty text where that is not to be known. */
export async function umlRegisters(directory: string): Promise<string> {
  return registersText(parseSyscall(await readFile(`/proc/${mainProcess(directory)}/syscall`, 'latin1')));
}

/** Nothing is written by the kernel, or into it: pages that it has never touched stay so. */
export async function dumpUml(
  directory: string,
  memoryBytes: number,
  mostBytes: number,
  signal: AbortSignal,
): Promise<AsyncGenerator<Buffer>> {
  const proc = `/proc/${mainProcess(directory)}`;
  const mappings = parseMaps((await readFile(join(proc, 'maps'), 'latin1')).slice(0, MOST_MAPS));
  const registers = parseSyscall(await readFile(join(proc, 'syscall'), 'latin1').catch(() => ''));
  const own = await open(join(proc, 'mem'), constants.O_RDONLY);
  let memory: FileHandle | undefined;
  try {
    memory = await openMemory(proc, mappings);
    const { size } = await memory.stat();
    const layout = layOut(mappings, Math.min(size, memoryBytes + PIECE_BYTES), registers);
    if (layout.bytes > mostBytes)
      throw new PolykernelError(
        'internal',
        `the kernel's process has ${layout.bytes} bytes, more than its guest can need`,
      );
    return pieces(layout, { memory, process: own }, signal);
  } catch (error) {
    await own.close();
    await memory?.close();
    throw error;
  }
}

function mainProcess(directory: string): number {
  const { vmm } = umlThreads(launchThreads(directory));
  if (vmm === 0) throw new PolykernelError('kernel-died', `no kernel runs in ${directory}`);
  return vmm;
}

/** Through a descriptor of the kernel's: it has no name any more. */
async function openMemory(proc: string, mappings: readonly Mapping[]): Promise<FileHandle> {
  const wanted = mappings.find(isMemoryFile)?.file.split(' ')[1];
  for (const name of wanted === undefined ? [] : await readdir(join(proc, 'fd'))) {
    // What the process has there is its own word: nothing is waited for, and it must be what is mapped.
    const { O_RDONLY, O_NONBLOCK, O_NOCTTY } = constants;
    const file = await open(join(proc, 'fd', name), O_RDONLY | O_NONBLOCK | O_NOCTTY).catch(() => undefined);
    const facts = await file?.stat();
    if (file !== undefined && facts?.isFile() && String(facts.ino) === wanted) return file;
    await file?.close();
  }
  throw new PolykernelError('internal', "the file that is the guest's memory is not among what its process has open");
}

async function* pieces(
  { header, parts }: CoreLayout,
  files: Record<'memory' | 'process', FileHandle>,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  try {
    yield header;
    for (const { from, at, bytes } of parts) {
      for (let done = 0; done < bytes; ) {
        signal.throwIfAborted();
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

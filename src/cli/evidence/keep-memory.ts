/** The memory of a kernel, kept in a file that only its owner may read; whatever goes wrong, nothing of it stays. */
import type { FileHandle } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import type { Client } from '../../client/index.ts';
import type { Evidence, KeptMemory } from '../../evidence/contract.ts';
import { asPolykernelError, PolykernelError } from '../../sys/errors.ts';
import { roomAt } from '../../sys/free-space.ts';
import { formatBytes } from '../../sys/units.ts';
import { withProgress } from '../kit/long-work.ts';
import { interruptible } from '../kit/signals.ts';
import { replaceFile } from './replace-file.ts';

/** Pieces that are nothing but zero take no room in a file. */
const HOLE_BYTES = 64 * 1024;
const ZEROES = Buffer.alloc(HOLE_BYTES);
const SAY_BYTES = 16 * 2 ** 20;

/**
 * A former copy in `path` is replaced, once the new one is whole. Rejects with `unsupported`, `conflict`, or `internal` (no room, or as the
 * driver says); after a signal that would end this process it ends it, with nothing left.
 */
export async function keepMemory(client: Client, evidence: Evidence, path: string): Promise<KeptMemory> {
  const { memory, status } = evidence;
  const { name } = status.spec;
  if (memory === null)
    throw new PolykernelError(
      'unsupported',
      `the memory of ${name} cannot be had: it does not run, or its driver gives none`,
      {
        field: '--memory',
        value: name,
      },
    );
  checkRoomFor(path, memory.mostBytes);
  const interruption = interruptible();
  try {
    return await replaceFile(path, async (file) => {
      const startMs = performance.now();
      const bytes = await withProgress(async (say) => {
        const stream = await client.getMemory(name, interruption.signal);
        return await writeSparse(file, stream, memory.mostBytes, (done) =>
          say(`memory of ${name}: ${formatBytes(done)}`),
        );
      });
      const tookMs = Math.round(performance.now() - startMs);
      interruption.signal.throwIfAborted();
      return { file: basename(path), bytes, tookMs };
    });
  } catch (error) {
    if (interruption.signal.aborted) process.exit(interruption.code());
    throw asPolykernelError(error, `keeping memory in ${path}`);
  } finally {
    interruption.release();
  }
}

function checkRoomFor(path: string, need: number): void {
  const room = roomIn(dirname(path), path);
  if (room >= need) return;
  throw new PolykernelError(
    'internal',
    `there is no room for the memory of a kernel in ${dirname(path)}: it can take ${formatBytes(need)}, and ${formatBytes(Math.max(0, room))} may be written there`,
    { field: '--output', value: path, hint: 'Name a file on another file system with -o, or make room.' },
  );
}

function roomIn(directory: string, path: string): number {
  try {
    return roomAt(directory);
  } catch (error) {
    throw asPolykernelError(error, `keeping memory in ${path}`);
  }
}

/** Gives the bytes there were. Rejects with `internal` when they are more than `most`. */
export async function writeSparse(
  file: Pick<FileHandle, 'write' | 'truncate'>,
  pieces: AsyncIterable<Buffer>,
  most: number,
  told: (bytes: number) => void,
): Promise<number> {
  let at = 0;
  let said = 0;
  for await (const piece of pieces) {
    if (at + piece.length > most)
      throw new PolykernelError('internal', `more came than the ${formatBytes(most)} that its memory can take`);
    for (let done = 0; done < piece.length; done += HOLE_BYTES) {
      const part = piece.subarray(done, done + HOLE_BYTES);
      if (part.equals(ZEROES.subarray(0, part.length))) continue;
      for (let written = 0; written < part.length; )
        written += (await file.write(part, written, part.length - written, at + done + written)).bytesWritten;
    }
    at += piece.length;
    if (at - said < SAY_BYTES) continue;
    said = at;
    told(at);
  }
  await file.truncate(at);
  return at;
}

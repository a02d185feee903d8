/**
 * Reads thousands of modules, packed ones too. A decompressor in a jail takes longer to start than to unpack one: it gets many
 * at once, one after the other, and the sizes that they state of themselves say where each ends.
 */
import { extname } from 'node:path';
import { confinedOutput } from '../sys/confined-tool.ts';
import { MAX_MODULE_BYTES } from './kernel-bounds.ts';
import { damaged, readModule, readWhole, UNPACK_DEADLINE_MS, UNPACKERS } from './modules.ts';

/** Of unpacked modules, at once in memory. */
const BATCH_BYTES = 128 * 2 ** 20;

export interface ReadModule {
  path: string;
  bytes: Buffer;
}

/** The contents of all, in any order. Throws `invalid` for one that is damaged, or the reason of `signal`. */
export async function* readModules(paths: readonly string[], signal?: AbortSignal): AsyncGenerator<ReadModule> {
  const batches = new Map<string, Batch>();
  for (const path of paths) {
    signal?.throwIfAborted();
    const ending = extname(path);
    const bytes = ending in UNPACKERS ? readWhole(path, MAX_MODULE_BYTES) : undefined;
    const size = bytes && statedSize(ending, bytes);
    if (bytes === undefined || size === undefined || size > MAX_MODULE_BYTES) {
      yield { path, bytes: await readModule(path, signal) };
      continue;
    }
    const batch = batches.get(ending) ?? new Batch(ending);
    batches.set(ending, batch);
    if (batch.size + size > BATCH_BYTES) yield* batch.take(signal);
    batch.add({ path, bytes, size });
  }
  for (const batch of batches.values()) yield* batch.take(signal);
}

class Batch {
  readonly #ending: string;
  #files: (ReadModule & { size: number })[] = [];
  /** Bytes, unpacked. */
  size = 0;

  constructor(ending: string) {
    this.#ending = ending;
  }

  add(file: ReadModule & { size: number }): void {
    this.#files.push(file);
    this.size += file.size;
  }

  async *take(signal?: AbortSignal): AsyncGenerator<ReadModule> {
    const [files, total] = [this.#files, this.size];
    this.#files = [];
    this.size = 0;
    const first = files[0];
    if (first === undefined) return;
    const [program, ...args] = UNPACKERS[this.#ending]!;
    const input = Buffer.concat(files.map(({ bytes }) => bytes));
    const task = { subject: `${first.path} and others`, programs: [program!], args, input, signal };
    const all = await confinedOutput({ ...task, deadlineMs: UNPACK_DEADLINE_MS }, total);
    if (all.length !== total) throw damaged(first.path, 'it, or one read with it, has not the size that it states');
    let at = 0;
    for (const { path, size } of files) {
      yield { path, bytes: all.subarray(at, at + size) };
      at += size;
    }
  }
}

/** Bytes that a packed file says it becomes; undefined where it does not say so, or not in a way known here. */
export function statedSize(ending: string, bytes: Buffer): number | undefined {
  try {
    if (ending === '.gz') return bytes.readUInt32LE(bytes.length - 4);
    return ending === '.zst' ? zstdSize(bytes) : xzSize(bytes);
  } catch {
    return undefined;
  }
}

/** Of its one frame (RFC 8878, 3.1.1.1). */
function zstdSize(bytes: Buffer): number | undefined {
  const descriptor = bytes[4]!;
  const isWhole = (descriptor & 0x20) !== 0;
  const at = 5 + (isWhole ? 0 : 1) + [0, 1, 2, 4][descriptor & 3]!;
  const width = descriptor >> 6;
  if (width === 0) return isWhole ? bytes.readUInt8(at) : undefined;
  if (width === 1) return bytes.readUInt16LE(at) + 256;
  return width === 2 ? bytes.readUInt32LE(at) : Number(bytes.readBigUInt64LE(at));
}

/** Of the index at its end (xz-file-format.txt, 2.1.2 and 4). */
function xzSize(bytes: Buffer): number | undefined {
  const footer = bytes.length - 12;
  if (bytes.toString('latin1', footer + 10) !== 'YZ') return undefined;
  let at = footer - (bytes.readUInt32LE(footer + 4) + 1) * 4 + 1;
  const number = () => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = bytes.readUInt8(at++);
      value += (byte & 127) * scale;
      if (byte < 128 || scale > 2 ** 42) return value;
    }
  };
  let size = 0;
  const blocks = number();
  for (let block = 0; block < blocks; block += 1) {
    number();
    size += number();
  }
  return size;
}

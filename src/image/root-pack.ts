/**
 * Makes a squashfs of a tar archive. Decompressor and sqfstar run in jails of their own, what passes between them is
 * counted, and nothing of the archive becomes a file of the host: owners, modes, attributes and set-uid bits live inside
 * the image, where they mean something to the guest alone.
 */
import { createHash } from 'node:crypto';
import { open, rm } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { type ConfinedRun, startConfined } from '../sys/confined-tool.ts';
import type { SpaceOf } from '../sys/free-space.ts';
import { readPieces } from '../sys/read-at.ts';
import { TOOL_PLACE } from '../sys/tool-jail.ts';
import { TarMeter } from './tar-meter.ts';

export type Packing = 'tar' | 'tar.gz' | 'tar.xz' | 'tar.zst';

/** How much of an archive is taken. Reaching one is an error that names it. */
export interface RootBounds {
  /** Bytes of the archive as it is given. */
  archiveBytes: number;
  /** Bytes of it once decompressed. */
  bytes: number;
  entries: number;
  /** Names in one directory, and all that are gone through: TarNames. */
  names: number;
  lookups: number;
  /** Milliseconds for all of it. */
  deadlineMs: number;
}

export const ROOT_BOUNDS: RootBounds = {
  archiveBytes: 16 * 2 ** 30,
  bytes: 64 * 2 ** 30,
  entries: 2_000_000,
  names: 65_536,
  lookups: 2 ** 33,
  deadlineMs: 30 * 60_000,
};

const DECOMPRESSORS: Readonly<Record<Exclude<Packing, 'tar'>, readonly [string, ...string[]]>> = {
  'tar.gz': ['gzip', '-dc'],
  'tar.xz': ['xz', '-dc', '-T1'],
  'tar.zst': ['zstd', '-dcq'],
};
/**
 * Not compressed: packing is then as fast as the disk, and the guest has nothing to decompress. All kernels with squashfs
 * know zlib, which the image names all the same.
 */
const PACK = ['-force', '-quiet', '-no-progress', '-comp', 'gzip', '-noI', '-noId', '-noD', '-noF', '-noX'];
const RESOURCES = ['-processors', '2', '-mem', '256M'];
const PACK_MEMORY_BYTES = 4 * 2 ** 30;
/** It has some 12 threads, later versions more. */
const PACK_PROCESSES = 64;
/** VMMs open it under ids of their own; for others the directory above, which is its owner's alone, is in the way. */
const IMAGE_MODE = 0o644;
const DEFAULT_ROOT = { mode: 0o755, uid: 0, gid: 0, mtime: 0 };

export interface PackTask {
  /** Descriptor of the archive, read from its start. */
  archive: number;
  /** Of it. */
  bytes: number;
  packing: Packing;
  /** For people. */
  subject: string;
  /** SHA-256 that the archive was found to have; another one is an error. */
  hash: string;
  /** The image: a path where nothing is yet. */
  target: string;
  bounds: RootBounds;
  /** As in ConfinedTask. */
  space?: SpaceOf | undefined;
  signal?: AbortSignal | undefined;
}

/**
 * Packs an archive. Leaves a complete image, on disk, or nothing.
 * Throws RangeError with the reason or the bound, PolykernelError as tools do, or the reason of `signal`.
 */
export async function packRoot(task: PackTask): Promise<TarMeter> {
  const isRoot = process.getuid?.() === 0;
  // Of gigabytes that a disk is long in writing out or freeing: never on the main thread, and closed before they are removed.
  const output = await open(task.target, 'wx+', 0o600);
  try {
    const meter = await pack(task);
    if (isRoot) await output.chown(0, 0);
    await output.chmod(IMAGE_MODE);
    await output.sync();
    await output.close();
    return meter;
  } catch (error) {
    await output.close().catch(() => {});
    await rm(task.target, { force: true });
    throw error;
  }
}

async function pack(task: PackTask): Promise<TarMeter> {
  const { bounds, subject, packing } = task;
  const stop = new AbortController();
  const signal = task.signal === undefined ? stop.signal : AbortSignal.any([task.signal, stop.signal]);
  const limits = { deadlineMs: bounds.deadlineMs, signal };
  const cpuSeconds = Math.ceil(bounds.deadlineMs / 1000);
  const reading = new HashedFile(task.archive, task.bytes);
  const archive = reading.chunks();
  const meter = new TarMeter(bounds);
  let unpacker: ConfinedRun | undefined;
  try {
    if (packing !== 'tar') {
      const [program, ...args] = DECOMPRESSORS[packing];
      const run = { programs: [program], args, input: Readable.from(archive), output: 'stream' as const };
      unpacker = startConfined({ subject, ...run, bounds: { cpuSeconds }, ...limits });
    }
    const chunks = metered(unpacker === undefined ? archive : outputOf(unpacker), meter);
    // The root's own entry comes first where there is one, and sqfstar wants it as options.
    const head = await firstEntry(chunks, meter);
    const root = meter.root ?? DEFAULT_ROOT;
    const packer = startConfined({
      subject,
      programs: ['sqfstar'],
      // For the end of its threads.
      loads: ['libgcc_s.so.1'],
      args: [
        ...[...PACK, ...RESOURCES, '-root-mode', root.mode.toString(8), '-root-uid', String(root.uid)],
        ...['-root-gid', String(root.gid), '-root-time', String(root.mtime), TOOL_PLACE],
      ],
      input: Readable.from(joined(head, chunks)),
      place: task.target,
      space: task.space,
      bounds: {
        memoryBytes: PACK_MEMORY_BYTES,
        processes: PACK_PROCESSES,
        fileBytes: bounds.bytes,
        cpuSeconds: 2 * cpuSeconds,
      },
      ...limits,
    });
    const said = await packer.ended;
    meter.end();
    if ((await reading.digest()) !== task.hash) throw new RangeError('it changed while it was read');
    refuseDoubles(said);
    return meter;
  } catch (error) {
    stop.abort(error);
    await unpacker?.ended.catch(() => {});
    throw error;
  }
}

/** What a decompressor gives, and its own failure in place of a stream that ends early. */
async function* outputOf(unpacker: ConfinedRun): AsyncGenerator<Buffer> {
  try {
    yield* unpacker.stdout!;
  } catch (error) {
    await unpacker.ended;
    throw error;
  }
  await unpacker.ended;
}

/** A file's bytes, up to the size that it had at the start, and the hash of all of them whoever stops reading early. */
class HashedFile {
  readonly #file: number;
  readonly #size: number;
  readonly #hash = createHash('sha256');
  #position = 0;

  constructor(file: number, size: number) {
    this.#file = file;
    this.#size = size;
  }

  async *chunks(): AsyncGenerator<Buffer> {
    let at = this.#position;
    for await (const chunk of readPieces(this.#file, at, this.#size)) {
      // Left with a piece on its way, and somebody else went on.
      if (at !== this.#position) return;
      this.#hash.update(chunk);
      at += chunk.length;
      this.#position = at;
      yield chunk;
    }
  }

  /** SHA-256; reads what nobody read: tar's padding, behind its end. */
  async digest(): Promise<string> {
    for (let before = -1; before !== this.#position && this.#position < this.#size; ) {
      before = this.#position;
      for await (const _ of this.chunks());
    }
    return this.#hash.digest('hex');
  }
}

async function* metered(source: AsyncIterable<Buffer>, meter: TarMeter): AsyncGenerator<Buffer> {
  for await (const chunk of source) {
    meter.feed(chunk);
    yield chunk;
  }
}

async function firstEntry(chunks: AsyncGenerator<Buffer>, meter: TarMeter): Promise<Buffer[]> {
  const head: Buffer[] = [];
  while (meter.entries === 0) {
    const next = await chunks.next();
    if (next.done) break;
    head.push(next.value);
  }
  return head;
}

async function* joined(head: readonly Buffer[], rest: AsyncGenerator<Buffer>): AsyncGenerator<Buffer> {
  yield* head;
  yield* rest;
}

/** sqfstar keeps the first of two entries with one name, tar the last: better none than the wrong one. */
function refuseDoubles(said: string): void {
  const name = /^(.*) already exists in the tar file, ignoring$/m.exec(said)?.[1];
  if (name !== undefined)
    throw new RangeError(`it holds ${name.slice(0, 200)} twice: pack it again from its unpacked files`);
}

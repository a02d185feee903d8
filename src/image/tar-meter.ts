/**
 * Counts what is in a tar stream while it passes, so that bounds hold before an unpacker is through with it. It reads
 * headers alone; what the entries become is sqfstar's. Formats: POSIX ustar and pax, GNU tar(5).
 */
import { type NameBounds, TarNames } from './tar-names.ts';

export interface TarBounds extends NameBounds {
  /** Bytes of the archive once decompressed. */
  bytes: number;
  /** Files, directories and links, those directories included that are only on the way to others. */
  entries: number;
}

/** How the archive describes its own root, if it does. */
export interface TarRoot {
  mode: number;
  uid: number;
  gid: number;
  /** Seconds since 1970. */
  mtime: number;
}

const BLOCK = 512;
/** A pax header or a long name: names have at most 4096 bytes, attributes at most 64 KiB each. */
const MAX_EXTENSION_BYTES = 1024 * 1024;
/** Names at the top that are kept, to tell what kind of archive it is. */
const MAX_NAMES = 256;
const MAX_ID = 0xffff_ffff;

/** Feed it every chunk of the stream in order, then call end(). @throws RangeError with the reason or the bound. */
export class TarMeter {
  readonly #bounds: TarBounds;
  /** Names in the uppermost directory. */
  readonly names = new Set<string>();
  entries = 0;
  root: TarRoot | undefined;
  readonly #tree: TarNames;
  #bytes = 0;
  #block = Buffer.alloc(BLOCK);
  #filled = 0;
  /** Bytes of the current entry still to pass, its padding included. */
  #left = 0;
  /** Contents of a header that describes the next one; undefined between them. */
  #extension: { type: string; bytes: Buffer; filled: number } | undefined;
  #nextName: string | undefined;
  #nextSize: number | undefined;
  /** An old GNU sparse header is followed by blocks that say themselves whether another one follows. */
  #sparse = false;
  #ended = false;

  constructor(bounds: TarBounds) {
    this.#bounds = bounds;
    this.#tree = new TarNames(bounds);
  }

  feed(chunk: Buffer): void {
    this.#bytes += chunk.length;
    if (this.#bytes > this.#bounds.bytes)
      throw new RangeError(`it is larger than ${this.#bounds.bytes} bytes unpacked`);
    for (let at = 0; at < chunk.length && !this.#ended; ) {
      if (this.#left > 0) {
        const step = Math.min(this.#left, chunk.length - at);
        this.#keep(chunk.subarray(at, at + step));
        this.#left -= step;
        at += step;
        if (this.#left === 0) this.#extended();
        continue;
      }
      const step = Math.min(BLOCK - this.#filled, chunk.length - at);
      chunk.copy(this.#block, this.#filled, at, at + step);
      this.#filled += step;
      at += step;
      if (this.#filled < BLOCK) break;
      this.#filled = 0;
      if (this.#sparse) this.#sparse = this.#block[504] === 1;
      else this.#header(this.#block);
    }
  }

  /** Call it after the last chunk. */
  end(): void {
    if (!this.#ended) throw new RangeError(this.#bytes === 0 ? 'the archive is empty' : 'the archive is cut short');
    if (this.entries === 0) throw new RangeError('the archive is empty');
  }

  #header(block: Buffer): void {
    if (block[0] === 0 && block.every((byte) => byte === 0)) {
      this.#ended = true;
      return;
    }
    if (!isTarHeader(block)) throw new RangeError('the archive is damaged: a header has the wrong checksum');
    const type = String.fromCharCode(block[156]!);
    const stated = readNumber(block, 124, 12);
    const size = isExtension(type) ? stated : (this.#nextSize ?? stated);
    if (size === undefined) throw new RangeError('the archive is damaged: a size is no number');
    // Links and devices may state one, and nothing follows.
    this.#left = '12346'.includes(type) ? 0 : Math.ceil(size / BLOCK) * BLOCK;
    if (isExtension(type)) {
      if (size > MAX_EXTENSION_BYTES) throw new RangeError('the archive is damaged: a header is too long');
      this.#extension = { type, bytes: Buffer.alloc(size), filled: 0 };
      if (this.#left === 0) this.#extended();
      return;
    }
    this.#sparse = type === 'S' && block[482] === 1;
    // Whatever kind of archive it is: sqfstar does not look.
    const prefix = text(block, 345, 155);
    const name = this.#nextName ?? (prefix === '' ? '' : `${prefix}/`) + text(block, 0, 100);
    // Behind such a header sqfstar sees the next one, and others what is in the file.
    if (size > 0 && (type === '5' || name.endsWith('/'))) throw new RangeError('it holds a directory that has content');
    this.#entry(block, type, name);
  }

  #entry(block: Buffer, type: string, name: string): void {
    this.#nextName = undefined;
    this.#nextSize = undefined;
    this.entries += 1 + this.#tree.add(name, type === '5');
    if (this.entries > this.#bounds.entries) throw new RangeError(`it holds more than ${this.#bounds.entries} entries`);
    const first = /^[./]*([^/]*)/.exec(name)?.[1] ?? '';
    if (first !== '' && this.names.size < MAX_NAMES) this.names.add(first);
    if (type !== '5' || !/^(?:\.?\/?)$/.test(name)) return;
    const [uid, gid] = [readNumber(block, 108, 8) ?? 0, readNumber(block, 116, 8) ?? 0];
    const [mode, mtime] = [(readNumber(block, 100, 8) ?? 0o755) & 0o7777, readNumber(block, 136, 12) ?? 0];
    this.root ??= { mode, uid: Math.min(uid, MAX_ID), gid: Math.min(gid, MAX_ID), mtime: Math.min(mtime, MAX_ID) };
  }

  #keep(bytes: Buffer): void {
    const extension = this.#extension;
    if (extension === undefined) return;
    extension.filled += bytes.copy(extension.bytes, extension.filled);
  }

  /** What a header for the next one said, now that all of it is there. */
  #extended(): void {
    const extension = this.#extension;
    this.#extension = undefined;
    if (extension === undefined) return;
    if (extension.type === 'L') this.#nextName = text(extension.bytes, 0, extension.bytes.length);
    if (!'gxX'.includes(extension.type)) return;
    const records = readPax(extension.bytes);
    if (extension.type === 'g' && (records.has('size') || records.has('path')))
      throw new RangeError('it holds one name or size for all that follows');
    this.#nextName = records.get('path') ?? this.#nextName;
    const size = records.get('size');
    if (size === undefined) return;
    if (!/^\d{1,16}$/.test(size)) throw new RangeError('the archive is damaged: a size is no number');
    this.#nextSize = Number(size);
  }
}

/** A tar header's checksum is the sum of its 512 bytes with the checksum field read as spaces (POSIX ustar). */
export function isTarHeader(block: Buffer): boolean {
  if (block.length < BLOCK) return false;
  const stated = readNumber(block, 148, 8);
  let sum = 8 * 0x20;
  for (let at = 0; at < BLOCK; at++) if (at < 148 || at >= 156) sum += block[at]!;
  return sum > 8 * 0x20 && sum === stated;
}

function isExtension(type: string): boolean {
  return 'xXgLK'.includes(type);
}

/** Octal digits, or with the highest bit a big-endian number; undefined if it is neither or no safe integer. */
function readNumber(block: Buffer, offset: number, length: number): number | undefined {
  if (block[offset]! & 0x80) {
    let value = BigInt(block[offset]! & 0x7f);
    for (let at = offset + 1; at < offset + length; at++) value = value * 256n + BigInt(block[at]!);
    return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : undefined;
  }
  const digits = text(block, offset, length).trim();
  return /^[0-7]*$/.test(digits) ? Number.parseInt(digits || '0', 8) : undefined;
}

/** Bytes, each a character: names need not be UTF-8, and those that are not are different ones all the same. */
function text(block: Buffer, offset: number, length: number): string {
  const end = block.indexOf(0, offset);
  return block.toString('latin1', offset, end < 0 || end > offset + length ? offset + length : end);
}

/** Records `LENGTH KEY=VALUE\n`, each with its own length in front. */
function readPax(bytes: Buffer): Map<string, string> {
  const records = new Map<string, string>();
  for (let at = 0; at < bytes.length && bytes[at] !== 0; ) {
    const length = /^(\d{1,7}) /.exec(bytes.toString('latin1', at, at + 8))?.[1];
    const end = at + Number(length);
    if (length === undefined || end > bytes.length || end <= at + length.length + 1) {
      throw new RangeError('the archive is damaged: a pax header is no list of records');
    }
    const record = bytes.subarray(at + length.length + 1, end - 1);
    const equals = record.indexOf('=');
    if (equals > 0 && equals < 256)
      records.set(record.toString('latin1', 0, equals), record.toString('latin1', equals + 1));
    at = end;
  }
  return records;
}

/** The blocks of a tar archive, tar(5): POSIX ustar, with long names as GNU tar has them. Names are bytes. */
import { PolykernelError } from '../../../sys/errors.ts';

export const BLOCK = 512;
/** Of a name that has a block of its own. */
const LONGEST_NAME = 8192;
const NAME_FIELD = 100;

/** `hard`: one more name of a file that came before. */
export type EntryType = 'file' | 'hard' | 'directory' | 'link' | 'other';

export interface Entry {
  type: EntryType;
  name: Buffer;
  /** Where a link leads; of a hard one the name in the archive. */
  link: Buffer;
  /** Permissions, with set-id bits as they are. */
  mode: number;
  uid: number;
  gid: number;
  /** Seconds since 1970; below zero before. */
  mtime: number;
  /** Bytes of content that follow, padded to whole blocks. */
  size: number;
}

const CODES: Readonly<Record<string, string>> = { file: '0', hard: '1', link: '2', directory: '5' };

export const padding = (size: number): number => (BLOCK - (size % BLOCK)) % BLOCK;

/** The blocks in front of an entry's content. */
export function encodeEntry(entry: Entry): Buffer {
  return Buffer.concat([...longName('K', entry.link), ...longName('L', entry.name), header(CODES[entry.type]!, entry)]);
}

function longName(code: string, name: Buffer): Buffer[] {
  if (name.length <= NAME_FIELD) return [];
  const none = { link: Buffer.alloc(0), mode: 0, uid: 0, gid: 0, mtime: 0 };
  const size = name.length + 1;
  const front = header(code, { ...none, name: Buffer.from('././@LongLink'), size });
  return [front, name, Buffer.alloc(1 + padding(size))];
}

function header(code: string, { name, link, mode, uid, gid, mtime, size }: Omit<Entry, 'type'>): Buffer {
  const block = Buffer.alloc(BLOCK);
  name.copy(block, 0, 0, NAME_FIELD);
  link.copy(block, 157, 0, NAME_FIELD);
  block.write(`${code}`, 156, 'latin1');
  block.write('ustar  ', 257, 'latin1');
  number(block, 100, 8, mode);
  number(block, 108, 8, uid);
  number(block, 116, 8, gid);
  number(block, 124, 12, size);
  number(block, 136, 12, mtime);
  block.write(`${sumOf(block).toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}

/** Octal, or big-endian with the highest bit set; below zero all above it are set, too. */
function number(block: Buffer, at: number, width: number, value: number): void {
  const whole = Math.floor(value);
  const digits = whole.toString(8);
  if (whole >= 0 && digits.length < width) return void block.write(digits.padStart(width - 1, '0'), at, 'latin1');
  if (whole < 0) block.fill(0xff, at, at + width - 6);
  if (whole < 0) block.writeIntBE(whole, at + width - 6, 6);
  else block.writeUIntBE(whole, at + width - 6, 6);
  block[at]! |= 0x80;
}

/** Its bytes, those of the sum itself read as spaces. */
function sumOf(block: Buffer): number {
  let sum = 8 * 0x20;
  for (let at = 0; at < BLOCK; at++) if (at < 148 || at >= 156) sum += block[at]!;
  return sum;
}

/** Reads an archive that somebody hostile may have made: what it holds at one time is bounded. */
export class Entries {
  readonly #chunks: AsyncIterator<Buffer>;
  #rest: Buffer = Buffer.alloc(0);
  /** Bytes of the entry that was told of last, and of its padding, which nobody has asked for. */
  #left = 0;
  #padding = 0;

  constructor(archive: AsyncIterable<Buffer>) {
    this.#chunks = archive[Symbol.asyncIterator]();
  }

  /** The next entry; undefined behind the last. Throws `protocol` for what is none. */
  async next(): Promise<Entry | undefined> {
    for await (const _ of this.content());
    const names: { L?: Buffer; K?: Buffer } = {};
    for (;;) {
      const block = await this.#exactly(BLOCK);
      if (block.every((byte) => byte === 0)) return this.#end();
      if (octal(block, 148, 8) !== sumOf(block)) throw damaged('a header has the wrong checksum');
      const code = String.fromCharCode(block[156]!);
      const size = numberAt(block, 124, 12);
      if (code !== 'L' && code !== 'K') return this.#entry(block, code, size, names);
      if (size > LONGEST_NAME) throw damaged('a name is too long');
      names[code] = cString(await this.#exactly(size));
      await this.#exactly(padding(size));
    }
  }

  /** The content of the entry that was told of last, once. */
  async *content(): AsyncGenerator<Buffer> {
    while (this.#left > 0) {
      const part = await this.#some(this.#left);
      this.#left -= part.length;
      yield part;
    }
    await this.#exactly(this.#padding);
    this.#padding = 0;
  }

  #entry(block: Buffer, code: string, size: number, names: { L?: Buffer; K?: Buffer }): Entry {
    const types: Readonly<Record<string, EntryType>> = {
      '0': 'file',
      '\0': 'file',
      '1': 'hard',
      '2': 'link',
      '5': 'directory',
    };
    const type = types[code] ?? ('346'.includes(code) ? 'other' : undefined);
    if (type === undefined)
      throw damaged(`it has an entry of type ${JSON.stringify(code)}, which the agent makes none of`);
    [this.#left, this.#padding] = type === 'file' ? [size, padding(size)] : [0, 0];
    return {
      type,
      name: names.L ?? cString(block.subarray(0, NAME_FIELD)),
      link: names.K ?? cString(block.subarray(157, 157 + NAME_FIELD)),
      mode: numberAt(block, 100, 8) & 0o7777,
      uid: numberAt(block, 108, 8),
      gid: numberAt(block, 116, 8),
      mtime: timeAt(block, 136, 12),
      size: this.#left,
    };
  }

  async #end(): Promise<undefined> {
    while (!(await this.#chunks.next()).done);
    return undefined;
  }

  async #some(most: number): Promise<Buffer> {
    while (this.#rest.length === 0) {
      const { value, done } = await this.#chunks.next();
      if (done) throw cutShort();
      this.#rest = value;
    }
    const part = this.#rest.subarray(0, most);
    this.#rest = this.#rest.subarray(part.length);
    return part;
  }

  async #exactly(count: number): Promise<Buffer> {
    const parts: Buffer[] = [];
    for (let left = count; left > 0; left -= parts.at(-1)!.length) parts.push(await this.#some(left));
    return parts.length === 1 ? parts[0]! : Buffer.concat(parts);
  }
}

export function cString(bytes: Buffer): Buffer {
  const end = bytes.indexOf(0);
  return Buffer.from(end < 0 ? bytes : bytes.subarray(0, end));
}

const octal = (block: Buffer, at: number, width: number): number =>
  Number.parseInt(block.toString('latin1', at, at + width).replace(/[^0-7]/g, '') || '0', 8);

export function numberAt(block: Buffer, at: number, width: number): number {
  if ((block[at]! & 0x80) === 0) return octal(block, at, width);
  return block.readUIntBE(at + width - 6, 6);
}

function timeAt(block: Buffer, at: number, width: number): number {
  const isBefore1970 = (block[at]! & 0xc0) === 0xc0;
  return isBefore1970 ? block.readIntBE(at + width - 6, 6) : numberAt(block, at, width);
}

const damaged = (why: string): PolykernelError => new PolykernelError('protocol', `the archive from the guest: ${why}`);

const cutShort = (): PolykernelError => damaged('it is cut short');

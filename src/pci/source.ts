/** What a configuration space is read through: hardware, an image of it, or the cache before either. */
import { PolykernelError } from '../sys/errors.ts';

export type Width = 1 | 2 | 4;

export interface Source {
  /** Bytes there are: 64 to a caller without rights, 256, or 4096 of PCI Express. */
  readonly size: number;
  /** The little-endian number there; undefined beyond what can be read. `offset` is a multiple of `width`. */
  read(offset: number, width: Width): number | undefined;
  /** The same if it is known without asking the hardware. */
  kept?(offset: number, width: Width): number | undefined;
}

/** What nobody there answers with: a function that is absent, in reset, or too late. */
export const allOnes = (width: Width): number => (width === 4 ? 0xffffffff : width === 2 ? 0xffff : 0xff);

/** Throws `invalid` for a place that is none. */
export function checkPlace(offset: number, width: Width): void {
  if ([1, 2, 4].includes(width) && Number.isSafeInteger(offset / width) && offset >= 0) return;
  throw new PolykernelError('invalid', `offset: ${offset} is no place for ${width} bytes in a configuration space`, {
    field: 'offset',
    value: offset,
    hint: 'It must be a multiple of the width, which is 1, 2 or 4.',
  });
}

/** The number in `width` bytes of `value`, from its byte `from` on. */
export const partOf = (value: number, from: number, width: Width): number =>
  width === 4 ? value : (value >>> (8 * from)) & allOnes(width);

/**
 * Each dword of `source` at most once: what is decoded is of one moment, and what its registers share is read once. Bytes
 * that are known already are not read with others that are not.
 */
export class Reading implements Source {
  readonly size: number;
  readonly #source: Source;
  readonly #dwords = new Map<number, number | undefined>();

  constructor(source: Source) {
    this.#source = source;
    this.size = source.size;
  }

  read(offset: number, width: Width): number | undefined {
    const start = offset - (offset % 4);
    if (!this.#dwords.has(start)) {
      const kept = this.#source.kept?.(offset, width);
      if (kept !== undefined) return kept;
      this.#dwords.set(start, this.#source.read(start, 4));
    }
    const dword = this.#dwords.get(start);
    return dword === undefined ? undefined : partOf(dword, offset - start, width);
  }
}

/** The number in 1 to 4 bytes at `at` that lie within one dword. */
export function numberAt(source: Source, at: number, bytes: number): number | undefined {
  if (bytes !== 3) return source.read(at, bytes as Width);
  const [low, high] =
    at % 2 === 0 ? [source.read(at, 2), source.read(at + 2, 1)] : [source.read(at, 1), source.read(at + 1, 2)];
  if (low === undefined || high === undefined) return undefined;
  return at % 2 === 0 ? low + high * 2 ** 16 : low + high * 2 ** 8;
}

/** An image in memory, such as of a dump. */
export class Image implements Source {
  readonly size: number;
  readonly #view: DataView;

  constructor(image: Uint8Array) {
    this.size = image.length;
    this.#view = new DataView(image.buffer, image.byteOffset, image.length);
  }

  read(offset: number, width: Width): number | undefined {
    if (offset + width > this.size) return undefined;
    if (width === 1) return this.#view.getUint8(offset);
    return width === 2 ? this.#view.getUint16(offset, true) : this.#view.getUint32(offset, true);
  }
}

/** What is known of one configuration space: a copy, and a bit for each byte that says whether it may be kept, and whether it is. */
import { CLASS_N, CLASS_S, CLASS_W, type Layout } from '../layout.ts';
import type { Width } from '../source.ts';

const bit = (at: number): number => 1 << (at & 7);

/** Bytes that follow one another. */
export interface Run {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

export class Shadow {
  readonly size: number;
  readonly #view: DataView;
  /** Bytes of class S or W, those of class S, and those whose value is known. */
  #cacheable: Uint8Array;
  #constant: Uint8Array;
  readonly #valid: Uint8Array;
  /** When the hardware was last asked for bytes of class W, by dword. */
  readonly #asked = new Map<number, number>();

  constructor(size: number) {
    this.size = size;
    this.#view = new DataView(new ArrayBuffer(size));
    this.#valid = new Uint8Array(Math.ceil(size / 8));
    // Nothing, until the layout is known.
    this.#cacheable = this.#constant = new Uint8Array(this.#valid.length);
  }

  /** Sets what may be kept, as bitmaps that others may share. What is known already may be: holds() has said so of another's. */
  classify({ cacheable, constant }: Pick<Layout, 'cacheable' | 'constant'>): void {
    this.#cacheable = cacheable;
    this.#constant = constant;
  }

  /** Forgets bytes that may not be kept. */
  dropOthers(): void {
    for (let at = 0; at < this.#valid.length; at++) this.#valid[at]! &= this.#cacheable[at]!;
  }

  /** Whether all these bytes have one of the classes that may be kept. */
  isCacheable(offset: number, length: number): boolean {
    return this.#all(this.#cacheable, offset, length);
  }
  isConstant(offset: number, length: number): boolean {
    return this.#all(this.#constant, offset, length);
  }
  isValid(offset: number, length = 1): boolean {
    return this.#all(this.#valid, offset, length);
  }
  classOf(at: number): number {
    if (!this.isCacheable(at, 1)) return CLASS_N;
    return this.isConstant(at, 1) ? CLASS_S : CLASS_W;
  }

  /** What is known; undefined unless all of it is, and bytes of class W since `since`. */
  get(offset: number, width: Width, since: number): number | undefined {
    if (!this.isValid(offset, width)) return undefined;
    if (!this.isConstant(offset, width) && (this.#asked.get(offset >> 2) ?? Number.NEGATIVE_INFINITY) < since)
      return undefined;
    return this.value(offset, width);
  }

  /** What was last put there. */
  value(offset: number, width: Width): number {
    if (width === 1) return this.#view.getUint8(offset);
    return width === 2 ? this.#view.getUint16(offset, true) : this.#view.getUint32(offset, true);
  }

  /** Keeps what may be kept of what the hardware was asked for at `asked`. Says whether more is known of constant bytes now. */
  put(offset: number, width: Width, value: number, asked: number): boolean {
    let isNews = false;
    // One time for all that is known of a dword: what was not asked for now is known no more.
    if (!this.isConstant(offset & ~3, 4)) this.#dropWritableOf(offset & ~3);
    for (let index = 0; index < width; index++) {
      const at = offset + index;
      if (!this.isCacheable(at, 1)) continue;
      const byte = Math.floor(value / 2 ** (8 * index)) & 0xff;
      isNews ||= this.isConstant(at, 1) && !(this.isValid(at) && this.#view.getUint8(at) === byte);
      this.#view.setUint8(at, byte);
      this.#valid[at >> 3]! |= bit(at);
    }
    if (!this.isConstant(offset, width)) this.#asked.set(offset >> 2, asked);
    return isNews;
  }

  /** Whether any of these was known, and no more is. */
  drop(offset: number, length: number): boolean {
    let dropped = false;
    for (let at = Math.max(offset, 0); at < Math.min(offset + length, this.size); at++) {
      if ((this.#valid[at >> 3]! & bit(at)) === 0) continue;
      this.#valid[at >> 3]! &= ~bit(at);
      dropped = true;
    }
    return dropped;
  }

  /** All bytes that somebody may have written, as after a reset. */
  dropWritable(): void {
    for (let at = 0; at < this.#valid.length; at++) this.#valid[at]! &= this.#constant[at]!;
    this.#asked.clear();
  }

  dropAll(): void {
    this.#valid.fill(0);
    this.#asked.clear();
  }

  /** Takes over what constants() of another process gave. */
  takeOver(runs: readonly Run[]): void {
    for (const { offset, bytes } of runs) {
      new Uint8Array(this.#view.buffer).set(bytes, offset);
      for (let at = offset; at < offset + bytes.length; at++) this.#valid[at >> 3]! |= bit(at);
    }
    this.#cacheable = this.#constant = this.#valid.slice();
  }

  /** Known constant bytes, as runs. */
  constants(): Run[] {
    const runs: Run[] = [];
    let start: number | undefined;
    for (let at = 0; at <= this.size; at++) {
      const eight = at < this.size ? this.#valid[at >> 3]! & this.#constant[at >> 3]! : 0;
      // Most of a space is empty: eight bytes at a step.
      if (start === undefined && eight === 0 && (at & 7) === 0) {
        at += 7;
        continue;
      }
      const isKept = (eight & bit(at)) !== 0;
      if (isKept) start ??= at;
      else if (start !== undefined) {
        runs.push({ offset: start, bytes: new Uint8Array(this.#view.buffer.slice(start, at)) });
        start = undefined;
      }
    }
    return runs;
  }

  /** Whether all of these are known to be constant. */
  holds(runs: readonly Run[]): boolean {
    return runs.every(
      ({ offset, bytes: { length } }) => this.isConstant(offset, length) && this.isValid(offset, length),
    );
  }

  #dropWritableOf(start: number): void {
    for (let at = start; at < start + 4; at++) if (!this.isConstant(at, 1)) this.#valid[at >> 3]! &= ~bit(at);
  }

  #all(bitmap: Uint8Array, offset: number, length: number): boolean {
    if (offset + length > this.size) return false;
    for (let at = offset; at < offset + length; at++) if ((bitmap[at >> 3]! & bit(at)) === 0) return false;
    return true;
  }
}

/**
 * What is known of one configuration space. Constant bytes are an image with a bit for each that says whether it is known; functions that
 * are alike share one until they differ. What can be written is kept beside it, by dword, with the time at which it was asked for.
 */
import { CLASS_N, CLASS_S, CLASS_W, type Layout } from '../layout.ts';
import type { Width } from '../source.ts';

const bit = (at: number): number => 1 << (at & 7);

/** The bits of at most 4 bytes that lie within one dword. */
const bitsOf = (bitmap: Uint8Array, offset: number, length: number): number =>
  (bitmap[offset >> 3]! >> (offset & 7)) & ((1 << length) - 1);

/** Bytes that follow one another. */
export interface Run {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/** Bytes, and which of them are known to be constant: nobody changes it who shares it. */
export interface ConstantBytes {
  readonly bytes: Uint8Array;
  readonly valid: Uint8Array;
}

export const constantBytes = (size: number, runs: readonly Run[] = []): ConstantBytes => {
  const constant = { bytes: new Uint8Array(size), valid: new Uint8Array(Math.ceil(size / 8)) };
  for (const { offset, bytes } of runs) {
    constant.bytes.set(bytes, offset);
    for (let at = offset; at < offset + bytes.length; at++) constant.valid[at >> 3]! |= bit(at);
  }
  return constant;
};

/** A dword of which something can be written. */
interface Writable {
  readonly value: number;
  /** A bit for each byte that is known. */
  known: number;
  /** When the hardware was asked. */
  readonly asked: number;
}

const NOTHING: Pick<Layout, 'cacheable' | 'constant'> = {
  cacheable: new Uint8Array(512),
  constant: new Uint8Array(512),
};

export class Shadow {
  readonly size: number;
  /** Which bytes have class S or W, and which class S: nothing until the layout is known. */
  #classes: Pick<Layout, 'cacheable' | 'constant'> = NOTHING;
  #constant: ConstantBytes | undefined;
  #isShared = false;
  readonly #writable = new Map<number, Writable>();

  constructor(size: number) {
    this.size = size;
  }

  /** Sets what may be kept, as bitmaps that others may share. */
  classify(classes: Pick<Layout, 'cacheable' | 'constant'>): void {
    this.#classes = classes;
  }

  /** Forgets what was taken over as constant and is not. Says whether there was any. */
  dropOthers(): boolean {
    const { constant } = this.#classes;
    if (!this.#constant?.valid.some((eight, at) => (eight & ~constant[at]!) !== 0)) return false;
    const { valid } = this.#own();
    for (let at = 0; at < valid.length; at++) valid[at]! &= constant[at]!;
    return true;
  }

  /** Takes over the constants of another process, which others may share: all that is known until the layout is. */
  takeOver(constant: ConstantBytes): void {
    this.#constant = constant;
    this.#isShared = true;
    this.#classes = { cacheable: constant.valid, constant: constant.valid };
  }

  /** Whether all these bytes of a dword have one of the classes that may be kept. */
  isCacheable(offset: number, length: number): boolean {
    return bitsOf(this.#classes.cacheable, offset, length) === (1 << length) - 1;
  }
  isConstant(offset: number, length: number): boolean {
    return bitsOf(this.#classes.constant, offset, length) === (1 << length) - 1;
  }
  classOf(at: number): number {
    if (!this.isCacheable(at, 1)) return CLASS_N;
    return this.isConstant(at, 1) ? CLASS_S : CLASS_W;
  }

  /** What is known; undefined unless all of it is, and what can be written since `since`. */
  get(offset: number, width: Width, since = Number.NEGATIVE_INFINITY): number | undefined {
    if (offset + width > this.size) return undefined;
    let value = 0;
    for (let index = width - 1; index >= 0; index--) {
      const byte = this.#byte(offset + index, since);
      if (byte === undefined) return undefined;
      value = value * 256 + byte;
    }
    return value;
  }

  /**
   * Keeps what may be kept of what the hardware was asked for at `asked`, but for the bytes of `doubtful`, a bit for each: of those nothing
   * is known any more. Says whether something else is known of constant bytes now.
   */
  put(offset: number, width: Width, value: number, asked: number, doubtful = 0): boolean {
    const constant = bitsOf(this.#classes.constant, offset, width);
    const writable = bitsOf(this.#classes.cacheable, offset, width) & ~constant & ~doubtful;
    let isNews = false;
    for (let index = 0; index < width && (constant | doubtful) !== 0; index++) {
      const [at, isConstant] = [offset + index, ((constant >> index) & 1) === 1];
      if (((doubtful >> index) & 1) === 1) isNews = (this.#forget(at) && isConstant) || isNews;
      else if (isConstant) isNews = this.#learn(at, (value >>> (8 * index)) & 0xff) || isNews;
    }
    // One time for all that is known of a dword: what was not asked for now is known no more.
    const from = offset & 3;
    if (writable !== 0) this.#writable.set(offset >> 2, { value: value << (8 * from), known: writable << from, asked });
    return isNews;
  }

  /** Whether any of these was known, and no more is. */
  drop(offset: number, length: number): boolean {
    let dropped = false;
    for (let at = Math.max(offset, 0); at < Math.min(offset + length, this.size); at++)
      dropped = this.#forget(at) || dropped;
    return dropped;
  }

  /** All bytes that somebody may have written, as after a reset. */
  dropWritable(): void {
    this.#writable.clear();
  }

  dropAll(): void {
    this.#constant = undefined;
    this.#isShared = false;
    this.#writable.clear();
  }

  /** Known constant bytes, as runs. */
  constants(): Run[] {
    const runs: Run[] = [];
    const { bytes, valid } = this.#constant ?? constantBytes(this.size);
    let start: number | undefined;
    for (let at = 0; at <= this.size; at++) {
      const eight = at < this.size ? valid[at >> 3]! : 0;
      // Most of a space is empty: eight bytes at a step.
      if (start === undefined && eight === 0 && (at & 7) === 0) {
        at += 7;
        continue;
      }
      const isKept = (eight & bit(at)) !== 0;
      if (isKept) start ??= at;
      else if (start !== undefined) {
        runs.push({ offset: start, bytes: bytes.slice(start, at) });
        start = undefined;
      }
    }
    return runs;
  }

  #byte(at: number, since: number): number | undefined {
    if ((this.#classes.constant[at >> 3]! & bit(at)) !== 0) {
      const constant = this.#constant;
      return constant !== undefined && (constant.valid[at >> 3]! & bit(at)) !== 0 ? constant.bytes[at] : undefined;
    }
    const writable = this.#writable.get(at >> 2);
    if (writable === undefined || writable.asked < since || ((writable.known >> (at & 3)) & 1) === 0) return undefined;
    return (writable.value >>> (8 * (at & 3))) & 0xff;
  }

  /** Whether it is news. */
  #learn(at: number, byte: number): boolean {
    if (this.#byte(at, 0) === byte) return false;
    const { bytes, valid } = this.#own();
    bytes[at] = byte;
    valid[at >> 3]! |= bit(at);
    return true;
  }

  /** Whether it was known. */
  #forget(at: number): boolean {
    if (this.#byte(at, Number.NEGATIVE_INFINITY) === undefined) return false;
    if (this.isConstant(at, 1)) this.#own().valid[at >> 3]! &= ~bit(at);
    else this.#writable.get(at >> 2)!.known &= ~(1 << (at & 3));
    return true;
  }

  /** Constants that may be changed. */
  #own(): ConstantBytes {
    if (this.#constant === undefined || this.#isShared) {
      const { bytes, valid } = this.#constant ?? constantBytes(this.size);
      this.#constant = this.#isShared ? { bytes: bytes.slice(), valid: valid.slice() } : { bytes, valid };
      this.#isShared = false;
    }
    return this.#constant;
  }
}

/** Values of properties (6.4): arrays of cells, strings, bytes, references and files, joined by commas. */
import { LIMITS, tooMany } from '../limits.ts';
import { readInteger } from './expression.ts';
import type { Marker } from './nodes.ts';
import type { Place } from './place.ts';
import type { Scanner } from './scanner.ts';

const U64 = 0xffff_ffff_ffff_ffffn;

/** Reads values, one after the other; counts what all of them hold. */
export class ValueReader {
  readonly #scanner: Scanner;
  #bytes = new Uint8Array(4096);
  #length = 0;
  #markers: Marker[] = [];
  #allBytes = 0;
  #allMarkers = 0;

  constructor(scanner: Scanner) {
    this.#scanner = scanner;
  }

  /** What stands between `=` and `;`. */
  read(): { value: Uint8Array; markers: readonly Marker[] } {
    this.#length = 0;
    this.#markers = [];
    do {
      this.#labels();
      this.#item();
      this.#labels();
    } while (this.#scanner.take(','));
    this.#allBytes += this.#length;
    if (this.#allBytes > LIMITS.blobBytes) this.#scanner.fail(tooMany('blobBytes'));
    return { value: this.#bytes.slice(0, this.#length), markers: this.#markers };
  }

  #item(): void {
    const scanner: Scanner = this.#scanner;
    const text = scanner.string();
    const { place } = scanner;
    const reference = text === undefined ? scanner.reference() : undefined;
    if (text !== undefined) this.#text(text);
    else if (reference !== undefined) this.#mark('path', reference, place);
    else if (scanner.take('<')) this.#array(32);
    else if (scanner.take('[')) this.#byteString();
    else if (scanner.take('/bits/')) this.#bits();
    else if (scanner.take('/incbin/')) this.#file(place);
    else scanner.fail(`a value is missing; here is ${scanner.found()}`);
  }

  #labels(): void {
    for (;;) {
      this.#scanner.skip();
      const { place } = this.#scanner;
      const name = this.#scanner.label();
      if (name === undefined) return;
      this.#mark('label', name, place);
    }
  }

  #mark(kind: Marker['kind'], name: string, place: Place): void {
    if (++this.#allMarkers > LIMITS.markers) this.#scanner.fail(tooMany('markers'), place);
    this.#markers.push({ kind, name, offset: this.#length, place });
  }

  #text(text: string): void {
    this.#reserve(text.length + 1);
    for (let index = 0; index < text.length; index++) this.#bytes[this.#length + index] = text.charCodeAt(index);
    this.#bytes[this.#length + text.length] = 0;
    this.#length += text.length + 1;
  }

  #bits(): void {
    this.#scanner.skip();
    const { place } = this.#scanner;
    const bits = this.#scanner.literal();
    if (bits !== 8 && bits !== 16 && bits !== 32 && bits !== 64)
      this.#scanner.fail('elements of arrays have 8, 16, 32 or 64 bits', place);
    this.#scanner.expect('<', 'behind /bits/');
    this.#array(bits);
  }

  #array(bits: 8 | 16 | 32 | 64): void {
    const scanner: Scanner = this.#scanner;
    while (!scanner.take('>')) {
      const { place } = scanner;
      const reference = scanner.reference();
      if (reference !== undefined) {
        if (bits !== 32) scanner.fail('references are only allowed in arrays with elements of 32 bits', place);
        this.#mark('phandle', reference, place);
        this.#cell(0xffff_ffff, 32, place);
        continue;
      }
      const value = readInteger(scanner);
      if (value !== undefined) this.#cell(value, bits, place);
      else if (!this.#label()) scanner.fail(`"<" has no end, or no cell is next; here is ${scanner.found()}`, place);
    }
  }

  #label(): boolean {
    const { place } = this.#scanner;
    const name = this.#scanner.label();
    if (name !== undefined) this.#mark('label', name, place);
    return name !== undefined;
  }

  /** Also a negative number in its 64 bits, when that fits the element with its sign. */
  #cell(value: number | bigint, bits: 8 | 16 | 32 | 64, place: Place): void {
    const bytes = bits / 8;
    this.#reserve(bytes);
    if (typeof value === 'number' && bits === 32 && value <= 0xffff_ffff) this.#put32(value);
    else {
      const mask = (1n << BigInt(bits)) - 1n;
      const exact = BigInt(value);
      if (exact > mask && (exact | mask) !== U64)
        this.#scanner.fail(`0x${exact.toString(16)} has more than ${bits} bits`, place);
      for (let shift = bits - 8, at = this.#length; shift >= 0; shift -= 8, at++)
        this.#bytes[at] = Number((exact >> BigInt(shift)) & 0xffn);
    }
    this.#length += bytes;
  }

  #put32(value: number): void {
    this.#bytes[this.#length] = value >>> 24;
    this.#bytes[this.#length + 1] = value >>> 16;
    this.#bytes[this.#length + 2] = value >>> 8;
    this.#bytes[this.#length + 3] = value;
  }

  #byteString(): void {
    while (!this.#scanner.take(']')) {
      if (this.#label()) continue;
      const byte = this.#scanner.byte();
      if (byte === undefined)
        this.#scanner.fail(`two hexadecimal digits or "]" must be here, not ${this.#scanner.found()}`);
      this.#reserve(1);
      this.#bytes[this.#length++] = byte;
    }
  }

  /** `/incbin/("FILE")` or `/incbin/("FILE", OFFSET, BYTES)`; as with dtc, what is behind the file's end is left out. */
  #file(place: Place): void {
    const scanner: Scanner = this.#scanner;
    scanner.expect('(', 'behind /incbin/');
    const name = scanner.string();
    if (name === undefined) scanner.fail('the name of a file is missing');
    let range: readonly [number, number] = [0, Number.POSITIVE_INFINITY];
    if (scanner.take(',')) {
      const start = this.#number();
      scanner.expect(',', 'between offset and length');
      range = [start, this.#number()];
    }
    scanner.expect(')', 'behind /incbin/');
    const { bytes } = scanner.fileNamed(name, place);
    const part = bytes.subarray(Math.min(range[0], bytes.length), Math.min(range[0] + range[1], bytes.length));
    this.#reserve(part.length);
    this.#bytes.set(part, this.#length);
    this.#length += part.length;
  }

  #number(): number {
    const value = readInteger(this.#scanner);
    if (value === undefined) this.#scanner.fail('a number is missing');
    return Number(value);
  }

  #reserve(more: number): void {
    const needed = this.#length + more;
    if (needed <= this.#bytes.length) return;
    if (needed > LIMITS.blobBytes) this.#scanner.fail(tooMany('blobBytes'));
    const larger = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
    larger.set(this.#bytes);
    this.#bytes = larger;
  }
}

/** Values of properties (6.4): arrays of cells, strings, bytes, references and files, joined by commas. */
import { LIMITS, tooMany } from '../limits.ts';
import { readInteger } from './expression.ts';
import type { Marker } from './nodes.ts';
import type { Place } from './place.ts';
import type { Scanner } from './scanner.ts';

const SLAB = 65_536;
const U64 = 0xffff_ffff_ffff_ffffn;

type Bits = 8 | 16 | 32 | 64;

/** Reads values, one after the other; counts what all of them hold. */
export class ValueReader {
  readonly #scanner: Scanner;
  /** Values lie in it one behind the other: an array of its own for each would take half of the time. */
  #bytes = new Uint8Array(SLAB);
  /** Where the present value begins, and what of it was read. */
  #start = 0;
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
    const value = this.#bytes.subarray(this.#start, this.#start + this.#length);
    this.#start += this.#length;
    return { value, markers: this.#markers };
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
    const at = this.#grow(text.length + 1);
    for (let index = 0; index < text.length; index++) this.#bytes[at + index] = text.charCodeAt(index);
    // What was not written yet is zero.
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

  #array(bits: Bits): void {
    const scanner: Scanner = this.#scanner;
    while (!scanner.take('>')) {
      const { file, at } = scanner;
      const reference = scanner.reference();
      if (reference !== undefined) {
        if (bits !== 32) scanner.fail('references are only allowed in arrays with elements of 32 bits', { file, at });
        this.#mark('phandle', reference, { file, at });
        this.#put(0xffff_ffff, 32);
        continue;
      }
      const value = readInteger(scanner);
      if (value !== undefined) this.#put(fitting(value, bits) ?? tooWide(scanner, value, bits, { file, at }), bits);
      else if (!this.#label())
        scanner.fail(`"<" has no end, or no cell is next; here is ${scanner.found()}`, { file, at });
    }
  }

  #label(): boolean {
    const { file, at } = this.#scanner;
    const name = this.#scanner.label();
    if (name !== undefined) this.#mark('label', name, { file, at });
    return name !== undefined;
  }

  #put(value: number | bigint, bits: Bits): void {
    const at = this.#grow(bits / 8);
    if (typeof value === 'bigint' || bits === 64) {
      for (let shift = bits - 8, next = at; shift >= 0; shift -= 8, next++)
        this.#bytes[next] = Number((BigInt(value) >> BigInt(shift)) & 0xffn);
    } else {
      for (let shift = bits - 8, next = at; shift >= 0; shift -= 8, next++) this.#bytes[next] = value >>> shift;
    }
  }

  #byteString(): void {
    while (!this.#scanner.take(']')) {
      if (this.#label()) continue;
      const byte = this.#scanner.byte();
      if (byte === undefined)
        this.#scanner.fail(`two hexadecimal digits or "]" must be here, not ${this.#scanner.found()}`);
      this.#bytes[this.#grow(1)] = byte;
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
    this.#bytes.set(part, this.#grow(part.length));
  }

  #number(): number {
    const value = readInteger(this.#scanner);
    if (value === undefined) this.#scanner.fail('a number is missing');
    return Number(value);
  }

  /** Makes the value so many bytes longer, and gives the offset of these. */
  #grow(more: number): number {
    const needed = this.#length + more;
    if (needed > LIMITS.blobBytes) this.#scanner.fail(tooMany('blobBytes'));
    if (this.#start + needed > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(SLAB, needed * 2));
      larger.set(this.#bytes.subarray(this.#start, this.#start + this.#length));
      this.#bytes = larger;
      this.#start = 0;
    }
    const at = this.#start + this.#length;
    this.#length = needed;
    return at;
  }
}

/** `value` in so many bits; also a negative number in its 64 bits, when it fits with its sign. Else undefined. */
function fitting(value: number | bigint, bits: Bits): number | bigint | undefined {
  if (typeof value === 'number' && value <= (bits === 64 ? Number.MAX_SAFE_INTEGER : 2 ** bits - 1)) return value;
  const mask = (1n << BigInt(bits)) - 1n;
  const exact = BigInt(value);
  return exact <= mask || (exact | mask) === U64 ? exact & mask : undefined;
}

function tooWide(scanner: Scanner, value: number | bigint, bits: Bits, place: Place): never {
  scanner.fail(`0x${value.toString(16)} has more than ${bits} bits`, place);
}

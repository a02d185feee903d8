/**
 * Counts of values in buckets that are exact below 128 and then 64 to each power of two: the middle of a bucket is within
 * 0.8 % of everything in it. Values are whole microseconds.
 */

const EXACT = 128;
const PER_OCTAVE = 64;
const LARGEST = 2 ** 40;

/** Which bucket a value is counted in. */
function bucketOf(value: number): number {
  if (value < EXACT) return value;
  // The number of bits beyond the seven that tell buckets apart.
  const shift = Math.floor(Math.log2(value)) - 6;
  return EXACT + (shift - 1) * PER_OCTAVE + (Math.floor(value / 2 ** shift) - PER_OCTAVE);
}

/** The middle of a bucket. */
function middleOf(bucket: number): number {
  if (bucket < EXACT) return bucket;
  const shift = Math.floor((bucket - EXACT) / PER_OCTAVE) + 1;
  const least = (((bucket - EXACT) % PER_OCTAVE) + PER_OCTAVE) * 2 ** shift;
  return least + (2 ** shift - 1) / 2;
}

export class Histogram {
  #buckets = new Uint32Array(EXACT);
  #count = 0;
  #max = 0;

  get count(): number {
    return this.#count;
  }

  /** The largest value, exactly; 0 when empty. */
  get max(): number {
    return this.#max;
  }

  /** `count`: how many of that value. */
  add(value: number, count = 1): void {
    const whole = Math.min(LARGEST, Math.max(0, Math.round(value)));
    this.#addTo(bucketOf(whole), count);
    this.#max = Math.max(this.#max, whole);
  }

  merge(other: Histogram): void {
    for (const [bucket, count] of other.#buckets.entries()) if (count > 0) this.#addTo(bucket, count);
    this.#max = Math.max(this.#max, other.#max);
  }

  /** The smallest value with `percentile` per cent of all at or below it, within 1 %; undefined when empty. */
  percentile(percentile: number): number | undefined {
    if (this.#count === 0) return undefined;
    // The rounding keeps 99.9 % of 1000 from becoming 999.0000000000001.
    const rank = Math.max(1, Math.ceil(Number(((percentile / 100) * this.#count).toFixed(6))));
    let seen = 0;
    for (const [bucket, count] of this.#buckets.entries()) {
      seen += count;
      if (seen >= rank) return Math.min(middleOf(bucket), this.#max);
    }
    return this.#max;
  }

  #addTo(bucket: number, count: number): void {
    if (bucket >= this.#buckets.length) {
      const grown = new Uint32Array(Math.ceil((bucket + 1) / PER_OCTAVE) * PER_OCTAVE);
      grown.set(this.#buckets);
      this.#buckets = grown;
    }
    this.#buckets[bucket]! += count;
    this.#count += count;
  }
}

/** What was made in each of the last slices of time, the current one included. */
export class Slices<T> {
  readonly #length: number;
  readonly #kept: number;
  readonly #make: () => T;
  readonly #slices = new Map<number, T>();

  /** `length` of a slice in milliseconds; `kept`: how many there are at most. */
  constructor(length: number, kept: number, make: () => T) {
    this.#length = length;
    this.#kept = kept;
    this.#make = make;
  }

  /** That of the time `now`. */
  at(now: number): T {
    const index = Math.floor(now / this.#length);
    let slice = this.#slices.get(index);
    if (slice === undefined) {
      slice = this.#make();
      this.#slices.set(index, slice);
      // One from far in the future is from before the clock was set back.
      for (const other of this.#slices.keys()) if (Math.abs(index - other) >= this.#kept) this.#slices.delete(other);
    }
    return slice;
  }

  /** Those of the last `milliseconds`, a whole number of slices, the current one included. */
  last(milliseconds: number, now: number): T[] {
    const index = Math.floor(now / this.#length);
    const first = index - Math.ceil(milliseconds / this.#length) + 1;
    return [...this.#slices].flatMap(([each, slice]) => (each >= first && each <= index ? [slice] : []));
  }
}

/** Many samples made one: the mean of each number, and its largest value so that no peak is lost. NaN = not known. */
import type { StatsSeries } from './types.ts';

export interface Point {
  /** Begin of its step, in milliseconds since 1970. */
  atMs: number;
  mean: Float32Array;
  peak: Float32Array;
}

/** The step that `atMs` falls into begins here. */
export const stepOf = (atMs: number, stepMs: number): number => Math.floor(atMs / stepMs) * stepMs;

/** One step under way. */
export class Bucket {
  readonly atMs: number;
  readonly #sums: Float64Array;
  readonly #counts: Uint32Array;
  readonly #peaks: Float32Array;

  constructor(atMs: number, columns: number) {
    this.atMs = atMs;
    this.#sums = new Float64Array(columns);
    this.#counts = new Uint32Array(columns);
    this.#peaks = new Float32Array(columns).fill(Number.NaN);
  }

  add(mean: Float32Array, peak: Float32Array = mean): void {
    for (let column = 0; column < this.#sums.length; column++) {
      const value = mean[column]!;
      if (Number.isNaN(value)) continue;
      this.#sums[column]! += value;
      this.#counts[column]! += 1;
      const before = this.#peaks[column]!;
      const most = peak[column]!;
      if (Number.isNaN(before) || most > before) this.#peaks[column] = most;
    }
  }

  point(): Point {
    const mean = Float32Array.from(this.#sums, (sum, column) => sum / this.#counts[column]!);
    return { atMs: this.atMs, mean, peak: this.#peaks.slice() };
  }
}

/** Fills buckets of one length, one after the other. */
export class Downsampler {
  readonly #stepMs: number;
  readonly #columns: number;
  #bucket: Bucket | undefined;

  constructor(stepMs: number, columns: number) {
    this.#stepMs = stepMs;
    this.#columns = columns;
  }

  /** The step before when this sample begins another one. */
  add(atMs: number, mean: Float32Array, peak?: Float32Array): Point | undefined {
    const begin = stepOf(atMs, this.#stepMs);
    let finished: Point | undefined;
    if (this.#bucket?.atMs !== begin) {
      finished = this.#bucket?.point();
      this.#bucket = new Bucket(begin, this.#columns);
    }
    this.#bucket.add(mean, peak);
    return finished;
  }

  /** The step under way. */
  pending(): Point | undefined {
    return this.#bucket?.point();
  }
}

/** Points in ascending order put into steps of at least the length they have. */
export function resample(points: Iterable<Point>, stepMs: number, columns: number): Point[] {
  const sampler = new Downsampler(stepMs, columns);
  const result: Point[] = [];
  for (const { atMs, mean, peak } of points) {
    const finished = sampler.add(atMs, mean, peak);
    if (finished !== undefined) result.push(finished);
  }
  const last = sampler.pending();
  if (last !== undefined) result.push(last);
  return result;
}

/** As the API gives it: a list per metric. A metric of which nothing is known is left out. */
export function seriesOf(
  points: readonly Point[],
  names: readonly string[],
  stepMs: number,
): Pick<StatsSeries, 'stepSeconds' | 'times' | 'values' | 'peaks'> {
  const values: StatsSeries['values'] = {};
  const peaks: StatsSeries['peaks'] = {};
  for (const [column, name] of names.entries()) {
    if (points.every(({ mean }) => Number.isNaN(mean[column]!))) continue;
    values[name] = points.map(({ mean }) => short(mean[column]!));
    peaks[name] = points.map(({ peak }) => short(peak[column]!));
  }
  return { stepSeconds: stepMs / 1000, times: points.map(({ atMs }) => atMs / 1000), values, peaks };
}

/** Of a fraction a 32-bit number has seven digits; more would be noise. */
function short(value: number): number | null {
  if (!Number.isFinite(value)) return null;
  return Number.isInteger(value) ? value : Number(value.toPrecision(7));
}

import { describe, expect, it } from 'vitest';
import { Downsampler, resample, seriesOf } from './downsample.ts';
import { GUEST_FILES, GUEST_FILES_WITH_PSI, GuestReader } from './guest.ts';
import { SampleRing } from './ring.ts';

const row = (...values: number[]) => Float32Array.from(values);
const nan = Number.NaN;

describe('a ring', () => {
  it('keeps the last samples', () => {
    const ring = new SampleRing(3, 2);
    for (let at = 1; at <= 5; at++) ring.push(at * 100, row(at, -at));
    expect([...ring.since(0)].map(({ atMs, row }) => [atMs, ...row])).toEqual([
      [300, 3, -3],
      [400, 4, -4],
      [500, 5, -5],
    ]);
    expect([...ring.since(450)]).toHaveLength(1);
  });
  it('keeps the last samples also over many blocks', () => {
    const ring = new SampleRing(150, 2);
    for (let at = 1; at <= 1000; at++) ring.push(at * 500, row(at, nan));
    expect(ring.count).toBe(150);
    expect([...ring.since(0)].map(({ atMs, row }) => [atMs, ...row])).toEqual(
      Array.from({ length: 150 }, (_, index) => [(851 + index) * 500, 851 + index, nan]),
    );
  });
  it('of an idle instance takes a few bytes a sample, and of none more than all its rows', () => {
    const [idle, busy, columns] = [new SampleRing(1200, 36), new SampleRing(1200, 36), 36];
    for (let at = 1; at <= 5000; at++) {
      // Asked ten times less often than sampled.
      idle.push(at * 500, new Float32Array(columns).fill(Math.floor(at / 10)));
      busy.push(at * 500, new Float32Array(columns).fill(at));
    }
    expect([idle.count, busy.count]).toEqual([1200, 1200]);
    expect(idle.bytes).toBeLessThan(32 * 1024);
    expect(busy.bytes).toBeLessThan(200 * 1024);
    expect([...idle.since(0)].at(-1)).toEqual({ atMs: 2_500_000, row: new Float32Array(columns).fill(500) });
  });
  it('gives back what it was given, whatever of it changed, and takes little for a few numbers that did', () => {
    const [columns, samples] = [40, 500];
    const ring = new SampleRing(samples, columns);
    const given: { atMs: number; row: Float32Array }[] = [];
    for (let at = 0; at < samples; at++) {
      const row = given[at - 1]?.row.slice() ?? new Float32Array(columns).fill(nan);
      // One that is not known any more, one that becomes known, 0 and -0, and nothing at all.
      for (const column of [[0], [31, 32], [39], []][at % 4]!) row[column] = at % 8 < 4 ? at / 3 : at % 3 ? nan : -0;
      given.push({ atMs: 7 * at, row });
      ring.push(7 * at, at % 16 === 3 ? given[at - 1]!.row : row);
    }
    const kept = [...ring.since(0)];
    expect(kept.slice(-samples)).toEqual(given);
    expect(ring.bytes).toBeLessThan(samples * 20);
  });
  it('drops what it has when the clock is set back', () => {
    const ring = new SampleRing(3, 1);
    ring.push(100, row(1));
    ring.push(50, row(2));
    expect([...ring.since(0)].map(({ atMs }) => atMs)).toEqual([50]);
  });
});

describe('down-sampling', () => {
  it('gives mean and peak of each step, and leaves out what is not known', () => {
    const sampler = new Downsampler(10, 2);
    expect(sampler.add(1, row(1, nan))).toBeUndefined();
    expect(sampler.add(9, row(3, 7))).toBeUndefined();
    const point = sampler.add(21, row(nan, nan));
    expect(point).toEqual({ atMs: 0, mean: row(2, 7), peak: row(3, 7) });
    expect(sampler.pending()).toEqual({ atMs: 20, mean: row(nan, nan), peak: row(nan, nan) });
  });
  it('of steps keeps the peaks', () => {
    const points = [0, 10, 20, 30].map((atMs) => ({ atMs, mean: row(1), peak: row(atMs) }));
    expect(resample(points, 20, 1)).toEqual([
      { atMs: 0, mean: row(1), peak: row(10) },
      { atMs: 20, mean: row(1), peak: row(30) },
    ]);
    expect(resample([], 20, 1)).toEqual([]);
  });
  it('as a series has a list per metric that is known', () => {
    const points = [
      { atMs: 0, mean: row(0.1, nan), peak: row(0.2, nan) },
      { atMs: 1000, mean: row(nan, nan), peak: row(nan, nan) },
    ];
    expect(seriesOf(points, ['a', 'b'], 1000)).toEqual({
      stepSeconds: 1,
      times: [0, 1],
      values: { a: [0.1, null] },
      peaks: { a: [0.2, null] },
    });
  });
});

describe('a reader of guests', () => {
  const snapshot = (path: string, text = '') => ({ path, monotonicNs: 5_000_000n, content: Buffer.from(text) });
  const stat = 'cpu  1 1 1 1\ncpu0 1 1 1 1\nprocs_running 1\nprocs_blocked 0\n';

  it('puts the files of one reading together', () => {
    const reader = new GuestReader(GUEST_FILES_WITH_PSI, 500);
    for (const path of GUEST_FILES_WITH_PSI.slice(0, -1))
      expect(reader.push(snapshot(path, path === '/proc/stat' ? stat : ''), 0)).toBeUndefined();
    expect(reader.push(snapshot(GUEST_FILES_WITH_PSI.at(-1)!), 7)).toMatchObject({
      atMs: 7,
      guestMs: 5,
      cpus: 1,
      runnable: 0,
      memory: null,
      disk: null,
      pressure: null,
    });
  });
  it('does not hear a guest that talks without being asked', () => {
    const reader = new GuestReader(GUEST_FILES, 500);
    const last = GUEST_FILES.at(-1)!;
    expect(reader.push(snapshot('/proc/kcore'), 0)).toBeUndefined();
    expect(reader.push(snapshot(last), 0)).toBeDefined();
    for (let at = 0; at < 100; at++) expect(reader.push(snapshot(last), at)).toBeUndefined();
    expect(reader.push(snapshot(last), 500)).toBeDefined();
  });
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type GuestSample, guestRates, guestSample, prometheusText } from './index.ts';

const FILES = new Map([
  ['/proc/stat', 'cpu  100 0 50 800 20 5 5 20 0 0\ncpu0 100 0 50 800 20 5 5 20 0 0\nintr 1 2\n'],
  ['/proc/meminfo', 'MemTotal:         252160 kB\nMemFree:  1 kB\nMemAvailable:     200000 kB\n'],
  ['/proc/vmstat', 'pgalloc 3\npgfault 4711\npgmajfault 7\n'],
  [
    '/proc/net/dev',
    'Inter-|   Receive\n face |bytes\n    lo: 99 1 0 0 0 0 0 0 99 1 0 0 0 0 0 0\n  vec0: 1000 2 0 0 0 0 0 0 500 3 0 0 0 0 0 0\n',
  ],
  ['/proc/pressure/cpu', 'some avg10=0.00 avg60=0.00 avg300=0.00 total=2500000\n'],
  ['/proc/loadavg', '0.52 0.10 0.05 2/61 170\n'],
]);

describe('a sample', () => {
  it('has what the files say, in base units', () => {
    expect(guestSample(7, FILES)).toEqual({
      at: 7,
      cpuSeconds: { user: 1, nice: 0, system: 0.5, idle: 8, iowait: 0.2, irq: 0.05, softirq: 0.05, steal: 0.2 },
      runnable: 2,
      load1: 0.52,
      memoryTotalBytes: 252_160 * 1024,
      memoryAvailableBytes: 200_000 * 1024,
      pageFaults: 4711,
      majorFaults: 7,
      receivedBytes: 1000,
      sentBytes: 500,
      cpuPressureSeconds: 2.5,
    });
  });

  it('of files that are missing or hostile is unknown, never nonsense', () => {
    const nothing = Object.values(guestSample(0, new Map())).slice(1);
    expect(nothing.every((value) => value === null)).toBe(true);
    fc.assert(
      fc.property(fc.array(fc.string({ maxLength: 200 }), { minLength: 6, maxLength: 6 }), (texts) => {
        const files = new Map(
          [...FILES.keys()].map((path, index) => [path, FILES.get(path)!.slice(0, 9) + texts[index]!]),
        );
        const { cpuSeconds, ...rest } = guestSample(0, files);
        for (const value of [...Object.values(cpuSeconds ?? {}), ...Object.values(rest)])
          expect(value === null || (Number.isFinite(value) && value >= 0)).toBe(true);
      }),
    );
  });
});

describe('rates', () => {
  const at = (seconds: number, change: Partial<GuestSample> = {}): GuestSample => ({
    ...guestSample(seconds * 1000, FILES),
    ...change,
  });

  it('are per second, and shares of all CPUs', () => {
    const { cpuSeconds } = at(0);
    const later = at(2, {
      cpuSeconds: { ...cpuSeconds!, user: 2, idle: 8.9, steal: 0.3 },
      receivedBytes: 3000,
      cpuPressureSeconds: 3.5,
    });
    const rates = guestRates(at(0), later);
    expect(rates).toMatchObject({ seconds: 2, receivedBytesPerSecond: 1000, sentBytesPerSecond: 0, cpuPressure: 0.5 });
    expect(rates.cpuBusy).toBeCloseTo(1.1 / 2, 10);
    expect(rates.cpuSteal).toBeCloseTo(0.1 / 2, 10);
  });

  it('of a counter that ran backwards, or of no time, are unknown', () => {
    expect(guestRates(at(0), at(1, { receivedBytes: 1 })).receivedBytesPerSecond).toBeNull();
    expect(guestRates(at(0), at(0)).pageFaultsPerSecond).toBeNull();
  });
});

it('metrics are in the text format, with labels escaped', () => {
  const values = [{ labels: { instance: 'a"b\\c\nd' }, value: 1.5 }];
  expect(prometheusText([{ name: 'x_total', help: 'Lines.\nTwo.', type: 'counter', values }])).toBe(
    '# HELP x_total Lines.\\nTwo.\n# TYPE x_total counter\nx_total{instance="a\\"b\\\\c\\nd"} 1.5\n',
  );
});

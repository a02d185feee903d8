import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  parseDiskstats,
  parseFaults,
  parseMeminfo,
  parseNetDev,
  parseOomKills,
  parsePressure,
  parseStat,
} from './proc.ts';

const bytes = (text: string): Uint8Array => Buffer.from(text);

describe('files of /proc', () => {
  it('stat: CPU time by state in seconds, tasks', () => {
    const text =
      'cpu  100 20 300 4000 50 6 7 8 9 10\ncpu0 50 10 150 2000 25 3 3 4 0 0\ncpu1 50 10 150 2000 25 3 4 4 0 0\n' +
      'intr 1 2 3\nprocs_running 3\nprocs_blocked 1\n';
    expect(parseStat(bytes(text))).toEqual({
      cpus: 2,
      cpuSeconds: { user: 1.2, system: 3, idle: 40, iowait: 0.5, irq: 0.13, steal: 0.08 },
      runnable: 3,
      blocked: 1,
    });
  });

  it('meminfo: available by the kernel, else what is free', () => {
    const text =
      'MemTotal:         1000 kB\nMemFree:  100 kB\nMemAvailable:  600 kB\nBuffers: 10 kB\nCached:   200 kB\n';
    expect(parseMeminfo(bytes(text))).toEqual({
      totalBytes: 1024_000,
      availableBytes: 614_400,
      usedBytes: 409_600,
      cachedBytes: 215_040,
    });
    expect(parseMeminfo(bytes('MemTotal: 10 kB\nMemFree: 4 kB\n'))).toMatchObject({ availableBytes: 4096 });
  });

  it('vmstat: minor faults are all but the major ones', () => {
    expect(parseOomKills(bytes('pgfault 50\noom_kill 3\n'))).toBe(3);
    expect(parseFaults(bytes('pgfree 1\npgfault 50\npgmajfault 8\n'))).toEqual({
      ...{ minor: 42, major: 8, refaults: 0 },
    });
    const again = 'pgfault 9\npgmajfault 1\nworkingset_refault_anon 2\nworkingset_refault_file 40\n';
    expect(parseFaults(bytes(again))).toEqual({ minor: 8, major: 1, refaults: 42 });
  });

  it('diskstats: whole disks once', () => {
    const text =
      ' 254 0 vda 10 0 100 5 20 0 200 5 0 0 0 0 0 0 0\n 254 1 vda1 10 0 100 5 20 0 200 5 0 0 0\n' +
      ' 98 0 ubda 1 0 8 0 1 0 8 0 0 0 0\n 7 0 loop0 9 0 9 0 9 0 9 0 0 0 0\n 259 1 nvme0n1p1 9 0 9 0 9 0 9 0 0 0\n';
    expect(parseDiskstats(bytes(text))).toEqual({ readBytes: 55_296, writtenBytes: 106_496, reads: 11, writes: 21 });
  });

  it('net/dev: all interfaces but the loopback', () => {
    const text =
      'Inter-|   Receive  |  Transmit\n face |bytes packets errs\n    lo: 9 9 0 0 0 0 0 0 9 9 0 0 0 0 0 0\n' +
      '  eth0:100 2 1 1 0 0 0 0 200 3 1 1 0 0 0 0\n  eth1: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n';
    expect(parseNetDev(bytes(text))).toEqual({
      receivedBytes: 101,
      sentBytes: 201,
      receivedPackets: 3,
      sentPackets: 4,
      faults: 4,
    });
  });

  it('pressure: seconds; an older kernel has no full for CPUs', () => {
    const some = 'some avg10=0.00 avg60=0.00 avg300=0.00 total=1500000\n';
    expect(parsePressure(bytes(`${some}full avg10=0.00 avg60=0.00 avg300=0.00 total=500000\n`))).toEqual({
      some: 1.5,
      full: 0.5,
    });
    expect(parsePressure(bytes(some))).toEqual({ some: 1.5, full: 0 });
    expect(parsePressure(bytes(''))).toBeNull();
  });
});

describe('what a hostile guest sends', () => {
  it.each([
    'cpu  1 2\n',
    'cpu  -1 2 3 4\n',
    'cpu  1e9 2 3 4\n',
    `cpu  ${'9'.repeat(40)} 1 1 1\n`,
    'cpu  NaN Infinity 0x10 4\n',
  ])('has no CPU time: %j', (text) => {
    expect(parseStat(bytes(text)).cpuSeconds).toBeNull();
  });

  it('has not more memory available than there is, nor more major faults than faults', () => {
    expect(parseMeminfo(bytes('MemTotal: 10 kB\nMemAvailable: 11 kB\n'))).toBeNull();
    expect(parseFaults(bytes('pgfault 1\npgmajfault 2\n'))).toBeNull();
    expect(parsePressure(bytes('some total=1\nfull total=9\n'))).toMatchObject({ full: 1e-6 });
  });

  const finite = (value: unknown): boolean =>
    value === null ||
    (typeof value === 'number' ? Number.isFinite(value) && value >= 0 : Object.values(value as object).every(finite));
  const parsers = { parseDiskstats, parseFaults, parseMeminfo, parseNetDev, parseOomKills, parsePressure, parseStat };
  const line = fc.oneof(
    fc.string({ maxLength: 60 }),
    fc
      .array(
        fc.oneof(fc.constantFrom('cpu', 'cpu0', 'some', 'MemTotal:', 'eth0:', 'vda', 'total=1'), fc.nat(), fc.bigInt()),
        {
          maxLength: 20,
        },
      )
      .map((words) => words.join(' ')),
  );

  it.each(Object.entries(parsers))('%s gives finite numbers or null, and never throws', (_name, parser) => {
    fc.assert(
      fc.property(fc.array(line, { maxLength: 40 }), (lines) => finite(parser(bytes(lines.join('\n'))))),
      { numRuns: 300 },
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2000 }), (content) => finite(parser(content))),
      { numRuns: 100 },
    );
  });

  it('of any size takes bounded work', () => {
    const huge = bytes('cpu0 1 1 1 1\n'.repeat(200_000));
    expect(parseStat(huge).cpus).toBeLessThanOrEqual(8192);
    const disks = bytes(' 254 0 vda 1 0 1 0 1 0 1 0 0\n'.repeat(100_000));
    expect(parseDiskstats(disks).reads).toBeLessThanOrEqual(512);
  });
});

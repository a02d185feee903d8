/** Telemetry through the daemon: from what a guest on the fake driver sends to the API, Prometheus and the disk. */
import { statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { fakeGuest, fakeKernels } from '../../src/driver/fake/driver.ts';
import type { FakeGuest } from '../../src/driver/fake/guest.ts';
import { METRIC_NAMES } from '../../src/telemetry/contract.ts';
import { COARSE, FINE, TelemetryStore } from '../../src/telemetry/telemetry-store.ts';
import { eventually, startDaemon, type TestDaemon, untilState } from '../support/harness.ts';
import { ManualClock } from '../support/manual-clock.ts';

const put = (guest: FakeGuest, path: string, text: string) =>
  guest.files.set(path, { mode: 0o444, content: Buffer.from(text) });
const stat = (user: number, idle: number, running = 1) =>
  `cpu  ${user} 0 0 ${idle} 0 0 0 0\ncpu0 ${user} 0 0 ${idle} 0 0 0 0\nprocs_running ${running}\nprocs_blocked 0\n`;

/** A daemon with one instance whose clock stands still. */
async function measured(name = 'web') {
  const clock = new ManualClock();
  const test = await startDaemon({ clock });
  await test.create({ name, command: ['sleep'] });
  await test.client.inspect(name);
  clock.advance(10);
  await untilState(test, name, 'running');
  const guest = fakeGuest(fakeKernels(test.home)[0]!)!;
  let read = 0;
  /** The guest sends its files, then half a second goes by. */
  const step = async (files: Record<string, string> = {}) => {
    for (const [path, text] of Object.entries(files)) put(guest, path, text);
    read += 1;
    clock.advance(250);
    guest.snapshot();
    const at = new Date(clock.now()).toISOString();
    await eventually(async () => (await stats(test, name)).guest?.at === at);
    clock.advance(250);
  };
  return { test, clock, guest, step, reads: () => read };
}
const stats = async (test: TestDaemon, name: string) => (await test.client.stats()).find((each) => each.name === name)!;

describe('the latest', () => {
  it('guest and host beside each other: a guest that spins while idle is not busy', async () => {
    const { test, guest, step } = await measured();
    await step({ '/proc/stat': stat(3, 22) });
    guest.usage = { vcpus: [{ ranNs: 5e9, waitedNs: 1e9 }], othersRanNs: 0, residentBytes: 4096 };
    await step({ '/proc/stat': stat(8, 67) });
    guest.usage = { vcpus: [{ ranNs: 5.5e9, waitedNs: 1.05e9 }], othersRanNs: 1e7, residentBytes: 8192 };
    await step({ '/proc/stat': stat(13, 112), '/proc/vmstat': 'pgfault 500\npgmajfault 0\n' });
    const { guest: inside, host, vcpus } = await stats(test, 'web');
    expect(vcpus).toBe(1);
    expect(inside?.cpuSeconds).toMatchObject({ user: 0.13, idle: 1.12 });
    expect(inside?.cpu?.user).toBeCloseTo(0.1, 1);
    expect(inside?.busy).toBeLessThan(0.2);
    expect(inside?.memory).toMatchObject({ totalBytes: 256 * 2 ** 20, usedBytes: 64 * 2 ** 20 });
    expect(inside?.faults).toMatchObject({ minor: 500 });
    expect(inside?.faults?.minorPerSecond).toBeCloseTo(400, -1);
    expect(host).toMatchObject({ residentBytes: 8192, vcpus: [{ ranSeconds: 5.5, delaySeconds: 1.05 }] });
    expect(host?.cpu).toBeGreaterThan(0.9);
    expect(host?.overGuest).toBeGreaterThan(0.8);
  });

  it('without PSI the run queue tells, with it the kernel', async () => {
    const { test, step } = await measured();
    await step({ '/proc/stat': stat(0, 0, 4) });
    await step({ '/proc/stat': stat(0, 0, 1) });
    const { guest } = await stats(test, 'web');
    expect(guest).toMatchObject({ runQueue: 0, pressure: { source: 'run-queue', memory: null, seconds: null } });
    expect(guest?.pressure.cpu).toBeGreaterThan(0);
    expect(guest?.pressure.cpu).toBeLessThan(1);
  });

  it('nothing a guest sends stops it, nor shows as a number that is none', async () => {
    const { test, step } = await measured();
    const noise = '\u0000cpu  -1 NaN 1e99 99999999999999999999 \n'.repeat(500);
    await step(
      Object.fromEntries(['stat', 'meminfo', 'vmstat', 'diskstats', 'net/dev'].map((file) => [`/proc/${file}`, noise])),
    );
    await step();
    const { guest } = await stats(test, 'web');
    expect(guest).toMatchObject({ cpuSeconds: null, cpu: null, busy: null, memory: null, faults: null });
    expect(test.journal.filter((line) => /measur/.test(line))).toEqual([]);
    await step({ '/proc/stat': stat(1, 1) });
    expect((await stats(test, 'web')).guest?.cpuSeconds).toMatchObject({ user: 0.01 });
  });

  it('of a guest that says nothing any more is null; of an instance without a kernel all is', async () => {
    const { test, clock, step } = await measured();
    await step();
    clock.advance(60_000);
    expect((await stats(test, 'web')).guest).toBeNull();
    await test.client.kill('web');
    expect(await stats(test, 'web')).toMatchObject({ state: 'exited', guest: null, host: null, restarts: 0 });
  });
});

describe('over time', () => {
  it('at full grain for minutes, in steps for days, and again after a restart', async () => {
    const { test, clock, step } = await measured();
    for (let at = 1; at <= 8; at++) await step({ '/proc/stat': stat(at * 25, at * 25) });
    const recent = await test.client.statsSeries('web', { since: '3s', step: '500ms' });
    expect(recent.stepSeconds).toBe(0.5);
    expect(recent.times.length).toBeGreaterThanOrEqual(5);
    expect(recent.values.cpuUser?.at(-2)).toBeCloseTo(0.5);
    expect(recent.values.latencyP99).toBeUndefined();
    clock.advance(20_000);
    const day = await test.client.statsSeries('web', { since: '1d', step: '1s' });
    expect(day.stepSeconds).toBe(10);
    expect(Math.max(...(day.peaks.cpuUser ?? []).map(Number))).toBeCloseTo(0.5);
    expect((await test.client.statsSeries('web', { since: '7d' })).stepSeconds % 300).toBe(0);
    await test.daemon.close();
    await test.crashAndRestart();
    const again = await test.client.statsSeries('web', { since: '1d', step: '10s' });
    expect(again.values.cpuUser?.some((value) => value !== null && value > 0)).toBe(true);
  });

  it('is forgotten with its instance', async () => {
    const { test, clock, step } = await measured();
    await step();
    clock.advance(30_000);
    await test.client.remove('web', { force: true });
    await expect(test.client.statsSeries('web')).rejects.toMatchObject({ code: 'not-found' });
    await test.create({ name: 'web', command: ['sleep'] });
    expect((await test.client.statsSeries('web', { since: '1d' })).times).toEqual([]);
  });

  it.each([
    [{ since: 'x' }, 'since'],
    [{ since: '0' }, 'since'],
    [{ since: '32d' }, 'since'],
    [{ step: '5' }, 'step'],
    [{ step: 'y'.repeat(40) }, 'step'],
  ])('refuses %j, naming the field', async (query, field) => {
    const { test } = await measured();
    await expect(test.client.statsSeries('web', query)).rejects.toMatchObject({ code: 'invalid', field });
  });
});

it('is served to Prometheus', async () => {
  const { test, step } = await measured();
  await step({ '/proc/stat': stat(300, 500) });
  const text = await test.client.metrics();
  expect(text).toContain('polykernel_instance_cpu_seconds_total{instance="web",state="user"} 3\n');
  expect(text).toContain('polykernel_instance_up{instance="web"} 1\n');
  expect(text).toMatch(/^polykernel_telemetry_samples_total \d+$/m);
});

it('a daemon without kernels has no timer', async () => {
  const clock = new ManualClock();
  const test = await startDaemon({ clock });
  expect(await test.client.stats()).toEqual([]);
  expect(clock.pending().filter((due) => due <= 500)).toEqual([]);
});

describe('the database', () => {
  const point = (atMs: number, value: number) => {
    const row = new Float32Array(METRIC_NAMES.length).fill(value);
    return { atMs, mean: row, peak: row };
  };
  async function open(change: object = {}) {
    const { home } = await startDaemon();
    const complaints: string[] = [];
    const options = {
      path: join(home, 'other.db'),
      columns: METRIC_NAMES,
      complain: (text: string) => void complaints.push(text),
      ...change,
    };
    return { options, complaints, store: new TelemetryStore(options) };
  }

  it('that is damaged, or of another version, is begun anew', async () => {
    const { options, store, complaints } = await open();
    store.put([{ id: 'a', level: FINE, point: point(10_000, 1) }], 10_000);
    expect(store.read('a', FINE, 0)).toHaveLength(1);
    store.close();
    const other = new TelemetryStore({ ...options, columns: ['x'] });
    expect(other.read('a', FINE, 0)).toEqual([]);
    other.close();
    writeFileSync(options.path, 'no database at all '.repeat(1000));
    const anew = new TelemetryStore(options);
    anew.put([{ id: 'a', level: FINE, point: point(10_000, 1) }], 10_000);
    expect(anew.read('a', FINE, 0)).toHaveLength(1);
    anew.close();
    expect(complaints).toEqual([]);
  });

  it('keeps a day of 10 s and a month of 5 min of one instance below 8 MiB, and nothing older', async () => {
    const { options, store } = await open();
    const fine = Array.from({ length: 9000 }, (_, at) => ({
      id: 'a'.repeat(32),
      level: FINE,
      point: point(at * 10_000, at),
    }));
    store.put(fine, 9000 * 10_000);
    const coarse = Array.from({ length: 8928 }, (_, at) => ({
      id: 'a'.repeat(32),
      level: COARSE,
      point: point(at * 300_000, at),
    }));
    store.put(coarse, 8928 * 300_000);
    expect(store.bytes()).toBeLessThan(8 * 2 ** 20);
    expect(store.read('a'.repeat(32), COARSE, 0)).toHaveLength(8928);
    expect(store.read('a'.repeat(32), FINE, 0).length).toBeLessThanOrEqual(8641);
    store.close();
    expect(statSync(options.path).size).toBeLessThan(8 * 2 ** 20);
  });

  it('that is full gives up the oldest', async () => {
    const { store, complaints } = await open({ maxBytes: 256 * 1024 });
    for (let at = 0; at < 2000; at++) store.put([{ id: 'a', level: FINE, point: point(at * 10_000, at) }], at * 10_000);
    const kept = store.read('a', FINE, 0);
    expect(kept.at(-1)?.atMs).toBe(1999 * 10_000);
    expect(kept[0]!.atMs).toBeGreaterThan(0);
    expect(kept.length).toBeGreaterThan(100);
    expect(store.bytes()).toBeLessThanOrEqual(256 * 1024);
    expect(complaints).toEqual([]);
    store.close();
  });
});
